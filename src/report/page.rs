//! A self-contained HTML page with text, images, charts and tables, in a light and a dark theme.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::chart::Chart;
use super::html::escape;
use crate::Result;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Builds an HTML page from top to bottom. All text is escaped.
///
/// ```
/// let mut page = cigan::report::Page::new("Birds");
/// page.lead("A model of birds.").section("Curves").text("None yet.");
/// assert!(page.html().contains("<h2>Curves</h2>"));
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    title: String,
    body: String,
    /// Index of the next chart, for its `id`.
    next: usize,
    /// Whether a section is open.
    section: bool,
}

/// An encoded image with its caption.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// Bytes of a PNG, GIF or JPEG file.
    pub image: &'a [u8],
    /// Text below the image.
    pub caption: &'a str,
}

impl Page {
    /// Creates an empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: String::new(), next: 0, section: false }
    }

    /// Adds an introductory paragraph in larger type.
    pub fn lead(&mut self, text: &str) -> &mut Self {
        self.push(format_args!("<p class=lead>{}</p>", escape(text)))
    }

    /// Starts a section and ends the previous one.
    pub fn section(&mut self, title: &str) -> &mut Self {
        let end = if self.section { "</section>" } else { "" };
        self.section = true;
        self.push(format_args!("{end}<section><h2>{}</h2>", escape(title)))
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.push(format_args!("<p>{}</p>", escape(text)))
    }

    /// Adds images side by side, as many as fit. Small ones are shown with sharp pixels.
    pub fn figures(&mut self, figures: &[Figure]) -> &mut Self {
        self.push("<div class=figures>");
        for figure in figures {
            let (image, caption) = (image(figure), escape(figure.caption));
            self.push(format_args!("<figure>{image}<figcaption>{caption}</figcaption></figure>"));
        }
        self.push("</div>")
    }

    /// Adds images over time with a slider. Without scripts, only the last one is shown.
    pub fn timeline(&mut self, frames: &[Figure]) -> &mut Self {
        let Some(last) = frames.last() else { return self };
        self.push("<figure class=timeline><div>");
        for frame in frames {
            let picture = image(frame);
            self.push(picture);
        }
        let end = frames.len() - 1;
        self.push(format_args!(
            "</div><input type=range min=0 max={end} value={end} aria-label=\"position\">\
             <figcaption>{}</figcaption></figure>",
            escape(last.caption)
        ))
    }

    /// Adds charts side by side, as many as fit.
    pub fn charts(&mut self, charts: &[Chart]) -> &mut Self {
        self.push("<div class=charts>");
        for chart in charts {
            let html = chart.html(self.next);
            self.next += 1;
            self.push(html);
        }
        self.push("</div>")
    }

    /// Adds a table. Cells that are numbers are aligned to the right.
    pub fn table<C: AsRef<str>>(&mut self, header: &[&str], rows: &[Vec<C>]) -> &mut Self {
        self.push("<div class=scroll><table><thead><tr>");
        for cell in header {
            self.push(format_args!("<th>{}</th>", escape(cell)));
        }
        self.push("</tr></thead><tbody>");
        for row in rows {
            self.push("<tr>");
            for cell in row {
                let cell = cell.as_ref();
                let class = if cell.parse::<f64>().is_ok() { " class=number" } else { "" };
                self.push(format_args!("<td{class}>{}</td>", escape(cell)));
            }
            self.push("</tr>");
        }
        self.push("</tbody></table></div>")
    }

    /// Adds a block of preformatted code.
    pub fn code(&mut self, text: &str) -> &mut Self {
        self.push(format_args!("<pre><code>{}</code></pre>", escape(text)))
    }

    /// Adds what `content` adds, collapsed under `summary`.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn folded(
        &mut self,
        summary: &str,
        content: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<&mut Self> {
        self.push(format_args!("<details><summary>{}</summary>", escape(summary)));
        content(self)?;
        Ok(self.push("</details>"))
    }

    /// Adds a block of code that is collapsed under `summary`.
    pub fn details(&mut self, summary: &str, code: &str) -> &mut Self {
        self.push(format_args!(
            "<details><summary>{}</summary><pre><code>{}</code></pre></details>",
            escape(summary),
            escape(code)
        ))
    }

    /// Returns the page as one HTML file.
    pub fn html(&self) -> String {
        let end = if self.section { "</section>" } else { "" };
        // The body comes last, so that placeholders in its text are not replaced.
        TEMPLATE
            .replace("{{title}}", &escape(&self.title))
            .replace("{{style}}", STYLE)
            .replace("{{script}}", SCRIPT)
            .replacen("{{body}}", &format!("{}{end}", self.body), 1)
    }

    fn push(&mut self, html: impl std::fmt::Display) -> &mut Self {
        let _ = write!(self.body, "{html}");
        self
    }
}

fn image(figure: &Figure) -> String {
    let kind = match figure.image {
        [b'G', b'I', b'F', ..] => "gif",
        [0xff, 0xd8, ..] => "jpeg",
        _ => "png",
    };
    let caption = escape(figure.caption);
    let data = BASE64.encode(figure.image);
    format!("<img alt=\"{caption}\" src=\"data:image/{kind};base64,{data}\">")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Line;

    #[test]
    fn text_cannot_become_markup() {
        let evil = "</script><script>alert('x')</script> {{body}} \"&";
        let figure = Figure { image: b"GIF89a", caption: evil };
        let line = Line { name: evil.into(), points: vec![(0.0, 1.0)] };
        let chart = Chart { title: evil.into(), unit: evil.into(), lines: vec![line] };
        let mut page = Page::new(evil);
        page.lead(evil).section(evil).text(evil).code(evil).details(evil, evil);
        page.table(&[evil], &[vec![evil]]).figures(&[figure]).timeline(&[figure]).charts(&[chart]);
        page.folded(evil, |page| {
            page.text(evil);
            Ok(())
        })
        .unwrap();
        let html = page.html();
        assert!(!html.contains("alert('x')"));
        // The page's own script and the chart's data, nothing else.
        assert_eq!(html.matches("<script").count(), 2);
        assert_eq!(html.matches("</script>").count(), 2);
        assert!(html.contains("data:image/gif;base64,R0lGODlh"));
    }

    #[test]
    fn a_page_needs_no_network() {
        let html = Page::new("x").html();
        for outside in ["http:", "https:", "@import", "url(", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn sections_are_closed() {
        let mut page = Page::new("x");
        page.section("a").section("b").timeline(&[]);
        let html = page.html();
        assert_eq!(html.matches("<section>").count(), 2);
        assert_eq!(html.matches("</section>").count(), 2);
    }
}
