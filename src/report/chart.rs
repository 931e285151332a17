//! Line charts as inline SVG, so that a page needs no library and no network.

use std::fmt::Write;

use super::html::escape;

/// A line chart: curves over a common horizontal axis.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// Title above the chart.
    pub title: String,
    /// Unit of the horizontal axis, such as `kimg`.
    pub unit: String,
    /// The curves; the twelve colours repeat.
    pub lines: Vec<Line>,
}

/// One curve.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// (x, y) in ascending x; points that are not finite are left out.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 30.0;
/// Number of colours in the style sheet.
const COLOURS: usize = 12;
/// Largest number of points of a curve, about one per pixel. More are averaged in groups.
const POINTS: usize = 500;

impl Chart {
    /// The chart as HTML: title, legend and SVG. If all values are positive and span more than a
    /// factor of 10, a checkbox switches to a logarithmic axis. `id` must be unique on the page.
    pub(super) fn html(&self, id: usize) -> String {
        let lines: Vec<Line> = self.lines.iter().map(Line::reduced).collect();
        let all = || lines.iter().flat_map(|line| line.points.iter().copied());
        let x = range(all().map(|(x, _)| x));
        let y = range(all().map(|(_, y)| y));
        let logarithmic = y.0 > 0.0 && y.1 / y.0 > 10.0;
        let mut html =
            format!("<figure class=chart><figcaption>{}</figcaption>", escape(&self.title));
        if logarithmic {
            let _ = write!(
                html,
                "<input type=checkbox id=log{id} class=log><label for=log{id}>log</label>"
            );
        }
        html.push_str("<div class=legend>");
        for (i, line) in lines.iter().enumerate() {
            let last = line.points.last().map_or(String::new(), |(_, y)| number(*y));
            let _ = write!(
                html,
                "<span class=c{}>{} <b>{last}</b></span>",
                i % COLOURS,
                escape(&line.name)
            );
        }
        let _ = write!(
            html,
            "</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" data-x=\"{} {} {LEFT} {}\" role=img \
             aria-label=\"{}\">",
            x.0,
            x.1,
            WIDTH - RIGHT,
            escape(&self.title)
        );
        self.horizontal_axis(&mut html, x);
        plot(&mut html, &lines, x, padded(y), false);
        if logarithmic {
            let exponents = (y.0.log10(), y.1.log10());
            plot(&mut html, &lines, x, padded(exponents), true);
        }
        html.push_str("<line class=cursor y1=10 y2=210 x1=-9 x2=-9 /></svg>");
        let data: Vec<_> = lines.iter().map(|line| &line.points).collect();
        let data = serde_json::to_string(&data).unwrap_or_default();
        let _ = write!(html, "<script type=\"application/json\">{data}</script></figure>");
        html
    }

    fn horizontal_axis(&self, html: &mut String, x: (f64, f64)) {
        let base = HEIGHT - BOTTOM;
        for tick in ticks(x, 6) {
            let at = place(tick, x, LEFT, WIDTH - RIGHT);
            let _ =
                write!(html, "<text x={at:.1} y={} class=x>{}</text>", base + 15.0, number(tick));
        }
        let _ = write!(
            html,
            "<text x={} y={} class=unit>{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(&self.unit)
        );
    }
}

/// Draws the grid, labels and curves of one scale; `y` holds exponents of 10 if `logarithmic`.
fn plot(html: &mut String, lines: &[Line], x: (f64, f64), y: (f64, f64), logarithmic: bool) {
    let base = HEIGHT - BOTTOM;
    let class = if logarithmic { "logarithmic" } else { "linear" };
    let _ = write!(html, "<g class={class}>");
    for tick in ticks(y, 5) {
        let at = place(tick, y, base, TOP);
        let value = if logarithmic { 10f64.powf(tick) } else { tick };
        let _ = write!(
            html,
            "<path class=grid d=\"M{LEFT} {at:.1}H{}\"/><text x={} y={:.1} class=y>{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    for (i, line) in lines.iter().enumerate() {
        let place = |(px, py): (f64, f64)| {
            let py = if logarithmic { py.log10() } else { py };
            (place(px, x, LEFT, WIDTH - RIGHT), place(py, y, base, TOP))
        };
        let mut points = line.points.iter().map(|p| place(*p));
        match line.points.len() {
            0 => {}
            1 => {
                let (cx, cy) = points.next().unwrap_or_default();
                let _ =
                    write!(html, "<circle class=c{} cx={cx:.1} cy={cy:.1} r=2.5 />", i % COLOURS);
            }
            _ => {
                let path: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let _ = write!(
                    html,
                    "<polyline class=c{} points=\"{}\"/>",
                    i % COLOURS,
                    path.join(" ")
                );
            }
        }
    }
    html.push_str("</g>");
}

impl Line {
    /// The curve without points that are not finite, averaged to at most [`POINTS`] points.
    fn reduced(&self) -> Line {
        let finite = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite();
        let points: Vec<_> = self.points.iter().copied().filter(finite).collect();
        let group = points.len().div_ceil(POINTS).max(1);
        let mean = |points: &[(f64, f64)]| {
            let n = points.len() as f64;
            let y = points.iter().map(|p| p.1).sum::<f64>() / n;
            (points[points.len() - 1].0, significant(y))
        };
        Line { name: self.name.clone(), points: points.chunks(group).map(mean).collect() }
    }
}

/// Rounds `value` to five significant digits.
fn significant(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// The smallest and the largest value; (0, 1) when there is none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The range with a margin; never empty.
fn padded((low, high): (f64, f64)) -> (f64, f64) {
    let room = (high - low) * 0.05;
    match () {
        () if room > 0.0 => (low - room, high + room),
        () if low == 0.0 => (0.0, 1.0),
        // A constant lies in the middle of an axis from 0 to twice its value.
        () => (low.min(0.0) * 2.0, high.max(0.0) * 2.0),
    }
}

/// Position of `value` when its range is mapped to the pixels `from` to `to`.
fn place(value: f64, (low, high): (f64, f64), from: f64, to: f64) -> f64 {
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    from + share * (to - from)
}

/// Round numbers within a range, about `count` of them.
fn ticks((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if rough <= 0.0 || !rough.is_finite() {
        return vec![low];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough).unwrap_or(10.0) * power;
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).take(20).map(|i| i as f64 * step).collect()
}

/// Formats a number with four significant digits and without trailing zeros.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.1e}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(ticks((0.0, 10.0), 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks((-1.0, 1.0), 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(ticks((3.0, 3.0), 4), [3.0]);
        assert!(ticks((f64::MIN, f64::MAX), 4).len() <= 20);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 1.0, 0.5, 1234.5678, 0.012345, 25_000_000.0, -3.25, 1e-7, 999_999.0];
        let expected = ["0", "1", "0.5", "1235", "0.01235", "2.5e7", "-3.25", "1.0e-7", "999999"];
        assert_eq!(shown.map(number), expected);
    }

    #[test]
    fn unusual_curves_give_valid_charts() {
        let lines = [
            vec![],
            vec![(1.0, 2.0)],
            vec![(1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 1.0)],
            (0..5000).map(|i| (i as f64, 1.0 + i as f64)).collect(),
        ];
        for points in lines {
            let line = Line { name: "<loss>".into(), points };
            let chart = Chart { title: "a & b".into(), unit: "kimg".into(), lines: vec![line] };
            let html = chart.html(1);
            assert!(html.contains("a &amp; b") && html.contains("&lt;loss&gt;"));
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            assert!(html.len() < 60_000);
        }
    }
}
