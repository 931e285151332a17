//! The shapes of a bird.
//!
//! They are given in bird units: the body is level and about 1 long, its centre is the origin, the
//! bird looks to +x, and y points down. To place a bird, the body is rotated around its centre and
//! the head around the neck; then all shapes are mirrored, scaled and moved into the image.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tiny_skia::{Path, PathBuilder, Rect, Transform};

use super::attributes::{Beak, Bird, Facing, Part, Pose, Size, Tail};
use super::palette::Colour;
use super::raster::{Ink, Shape, curve, ellipse, line, polygon};

/// Colour of the outline, which makes the bird stand out against any background.
const OUTLINE: [f32; 3] = [46.0, 40.0, 40.0];
/// Width of the outline in canvas units; the bird covers half of it.
const OUTLINE_WIDTH: f32 = 0.028;
/// Margin around the bird in canvas units.
const MARGIN: f32 = 0.03;
/// The point that the head rotates around, in bird units.
const NECK: (f32, f32) = (0.36, -0.22);

/// A bird that is placed in the image: its shapes in the order of painting, and its feet.
pub(super) struct Figure {
    pub shapes: Vec<Shape>,
    /// y of the soles of its feet, in canvas units.
    pub feet: f32,
}

/// A shape in bird units, before it is placed.
struct Piece {
    path: Path,
    part: Part,
    colour: [f32; 3],
    /// Whether only the part inside the body is painted.
    within_body: bool,
    /// Whether the piece has an outline.
    outlined: bool,
    /// Factor of the colour at the top and at the bottom of the piece.
    light: (f32, f32),
    /// Line width; None fills the path.
    line: Option<f32>,
}

/// Places the bird and its colours. `rng` determines everything that is not an attribute: the exact
/// tilt, size, position and shades.
pub(super) fn figure(bird: &Bird, rng: &mut ChaCha8Rng) -> Option<Figure> {
    let tilt: f32 = match bird.pose {
        Pose::Perching => rng.random_range(26.0..42.0),
        Pose::Standing => rng.random_range(6.0..20.0),
        Pose::Flying => rng.random_range(-2.0..14.0),
    };
    let nod = tilt * 0.75 + rng.random_range(-9.0..5.0);
    let scale = match bird.size {
        Size::Small => rng.random_range(0.37..0.40),
        Size::Large => rng.random_range(0.51..0.55),
    };
    let body_turn = Transform::from_rotate(-tilt);
    let head_turn = Transform::from_rotate_at(nod, NECK.0, NECK.1).post_concat(body_turn);
    let place_at = (rng.random_range(-1.0..1.0f32), rng.random_range(-1.0..1.0f32));
    let mut shade = |colour: Colour| {
        let brightness = rng.random_range(0.95..1.05f32);
        colour.rgb().map(|c| c as f32 * brightness + rng.random_range(-5.0..5.0f32))
    };
    let shades = Shades {
        crown: shade(bird.crown),
        back: shade(bird.back),
        wing: shade(bird.wing),
        breast: shade(bird.breast),
        belly: shade(bird.belly),
        beak: shade(bird.beak_colour),
    };

    let flip = Transform::from_scale(if bird.facing == Facing::Left { -1.0 } else { 1.0 }, 1.0);
    let leg = if bird.pose == Pose::Flying { 0.0 } else { 0.20 };
    let turned: Vec<(Path, Piece)> = pieces(bird, &shades, body_turn, head_turn)?
        .into_iter()
        .map(|(piece, turn)| Some((piece.path.clone().transform(turn)?, piece)))
        .collect::<Option<_>>()?;
    let place = placed(turned.iter().map(|(path, _)| path), flip, scale, leg, place_at)?;
    let scale = place.sx.abs();
    let body = curve(&BODY)?.transform(body_turn)?.transform(place)?;
    let feet = body.bounds().bottom() + leg * scale * 0.8;
    let [mut shapes, painted] = painted(turned, &body, place, scale)?;
    if bird.pose != Pose::Flying {
        shapes.extend(legs(&body, place, body_turn, feet, scale)?);
    }
    shapes.extend(painted);
    Some(Figure { shapes, feet })
}

/// The pieces of a bird in the order of painting, each with the turn of the body or of the head.
fn pieces(
    bird: &Bird,
    shades: &Shades,
    body_turn: Transform,
    head_turn: Transform,
) -> Option<Vec<(Piece, Transform)>> {
    let flying = bird.pose == Pose::Flying;
    let mut pieces: Vec<(Piece, Transform)> = Vec::new();
    let mut add = |piece: Piece, turn: Transform| pieces.push((piece, turn));
    if flying {
        add(Piece::new(Part::Wing, curve(&FAR_WING)?, shades.wing).lit(0.80, 0.92), body_turn);
    }
    add(Piece::new(Part::Tail, polygon(tail(bird.tail))?, shades.back).lit(0.98, 0.9), body_turn);
    add(Piece::new(Part::Belly, curve(&BODY)?, shades.belly).lit(1.0, 0.92), body_turn);
    add(Piece::new(Part::Breast, curve(&HEAD)?, shades.breast), head_turn);
    add(Piece::new(Part::Breast, curve(&BREAST)?, shades.breast).inside(), body_turn);
    let back: &[(f32, f32)] = if flying { &BACK_FLYING } else { &BACK };
    add(Piece::new(Part::Back, curve(back)?, shades.back).inside(), body_turn);
    add(Piece::new(Part::Crown, curve(&CROWN)?, shades.crown).plain(), head_turn);
    let wing: &[(f32, f32)] = if flying { &NEAR_WING } else { &WING };
    add(Piece::new(Part::Wing, curve(wing)?, shades.wing).lit(1.04, 0.92), body_turn);
    let quills: &[[(f32, f32); 2]] = if flying { &QUILLS_FLYING } else { &QUILLS };
    for quill in quills {
        // Feathers are lines that are darker than the wing, or lighter than a dark wing.
        let lift = if shades.wing.iter().sum::<f32>() < 150.0 { 26.0 } else { -30.0 };
        let colour = shades.wing.map(|c| c + lift);
        add(Piece::new(Part::Wing, line(quill)?, colour).plain().stroked(0.022), body_turn);
    }
    add(Piece::new(Part::Beak, polygon(beak(bird.beak))?, shades.beak), head_turn);
    let white = ellipse(0.60, -0.375, 0.058, 0.058)?;
    add(Piece::new(Part::Other, white, [250.0; 3]).plain(), head_turn);
    let pupil = ellipse(0.607, -0.375, 0.040, 0.040)?;
    add(Piece::new(Part::Other, pupil, [12.0; 3]).plain(), head_turn);
    Some(pieces)
}

/// The outlines of turned pieces, and the pieces themselves, placed in the image.
fn painted(
    turned: Vec<(Path, Piece)>,
    body: &Path,
    place: Transform,
    scale: f32,
) -> Option<[Vec<Shape>; 2]> {
    let mut outline = Vec::new();
    let mut shapes = Vec::new();
    for (path, piece) in turned {
        let path = path.transform(place)?;
        if piece.outlined && !piece.within_body {
            outline.push(Shape {
                path: path.clone(),
                ink: Ink::flat(OUTLINE),
                part: Part::Other,
                line: Some(OUTLINE_WIDTH),
                clip: None,
            });
        }
        let [top, bottom] = [piece.light.0, piece.light.1].map(|l| piece.colour.map(|c| c * l));
        shapes.push(Shape {
            path,
            ink: Ink::Fade { top, bottom },
            part: piece.part,
            line: piece.line.map(|width| width * scale),
            clip: piece.within_body.then(|| body.clone()),
        });
    }
    Some([outline, shapes])
}

/// The exact colours of the parts.
struct Shades {
    crown: [f32; 3],
    back: [f32; 3],
    wing: [f32; 3],
    breast: [f32; 3],
    belly: [f32; 3],
    beak: [f32; 3],
}

impl Piece {
    fn new(part: Part, path: Path, colour: [f32; 3]) -> Self {
        let light = (1.03, 0.95);
        Self { path, part, colour, within_body: false, outlined: true, light, line: None }
    }

    /// Sets the factors of the colour at the top and at the bottom.
    fn lit(mut self, top: f32, bottom: f32) -> Self {
        self.light = (top, bottom);
        self
    }

    /// Paints only the part inside the body.
    fn inside(mut self) -> Self {
        self.within_body = true;
        self
    }

    /// Removes the outline.
    fn plain(mut self) -> Self {
        self.outlined = false;
        self
    }

    /// Draws the path as a line.
    fn stroked(mut self, width: f32) -> Self {
        self.line = Some(width);
        self
    }
}

/// The transform from bird units to canvas units: `flip`, then `scale` (or less if the bird would
/// not fit), then a shift by `at` (−1 to 1 in each direction) within the margins.
fn placed<'a>(
    paths: impl Iterator<Item = &'a Path>,
    flip: Transform,
    scale: f32,
    leg: f32,
    at: (f32, f32),
) -> Option<Transform> {
    let mut bounds: Option<Rect> = None;
    for path in paths {
        let b = path.clone().transform(flip)?.bounds();
        bounds = Some(match bounds {
            None => b,
            Some(a) => Rect::from_ltrb(
                a.left().min(b.left()),
                a.top().min(b.top()),
                a.right().max(b.right()),
                a.bottom().max(b.bottom()),
            )?,
        });
    }
    let bounds = bounds?;
    let (width, height) = (bounds.width(), bounds.height() + leg);
    let room = 1.0 - 2.0 * MARGIN;
    let scale = scale.min(room / width).min(room / height);
    // Only a part of the free space is used: in photographs, birds are near the centre.
    let free = |length: f32, at: f32| {
        let free = room - length * scale;
        MARGIN + free / 2.0 + at * (free / 2.0).min(0.07)
    };
    Some(flip.post_scale(scale, scale).post_translate(
        free(width, at.0) - bounds.left() * scale,
        free(height, at.1) - bounds.top() * scale,
    ))
}

/// The legs and feet of a bird that does not fly.
fn legs(
    body: &Path,
    place: Transform,
    body_turn: Transform,
    feet: f32,
    scale: f32,
) -> Option<Vec<Shape>> {
    let turn = body_turn.post_concat(place);
    let mut shapes = Vec::new();
    for hip in [-0.06, 0.10] {
        let mut point = tiny_skia::Point::from_xy(hip, 0.30);
        turn.map_point(&mut point);
        let x = point.x.clamp(body.bounds().left(), body.bounds().right());
        shapes.push(Shape {
            path: line(&[(x, point.y), (x, feet)])?,
            ink: Ink::flat([88.0, 66.0, 52.0]),
            part: Part::Other,
            line: Some(0.055 * scale),
            clip: None,
        });
        let mut foot = PathBuilder::new();
        foot.move_to(x - 0.06 * scale, feet);
        foot.line_to(x + 0.06 * scale, feet);
        shapes.push(Shape { path: foot.finish()?, ..shapes[shapes.len() - 1].clone() });
    }
    Some(shapes)
}

const BODY: [(f32, f32); 10] = [
    (0.54, -0.10),
    (0.50, 0.12),
    (0.33, 0.32),
    (0.06, 0.41),
    (-0.24, 0.34),
    (-0.50, 0.14),
    (-0.60, -0.04),
    (-0.36, -0.25),
    (0.00, -0.37),
    (0.34, -0.34),
];
/// The whole head. The part below the crown is face and throat, with the colour of the breast.
const HEAD: [(f32, f32); 8] = [
    (0.76, -0.36),
    (0.70, -0.20),
    (0.52, -0.09),
    (0.32, -0.18),
    (0.24, -0.38),
    (0.32, -0.56),
    (0.50, -0.64),
    (0.69, -0.55),
];
const CROWN: [(f32, f32); 8] = [
    (0.755, -0.43),
    (0.64, -0.44),
    (0.50, -0.41),
    (0.38, -0.32),
    (0.27, -0.28),
    (0.28, -0.54),
    (0.50, -0.645),
    (0.69, -0.57),
];
/// Only the part inside the body is painted.
const BREAST: [(f32, f32); 6] =
    [(0.20, 0.60), (0.13, 0.20), (0.22, -0.12), (0.50, -0.40), (0.85, -0.20), (0.70, 0.50)];
/// Only the part inside the body is painted.
const BACK: [(f32, f32); 6] =
    [(0.38, -0.50), (0.36, -0.19), (0.06, -0.17), (-0.30, -0.08), (-0.85, 0.10), (-0.40, -0.60)];
/// Only the part inside the body is painted.
const BACK_FLYING: [(f32, f32); 6] =
    [(0.38, -0.50), (0.34, -0.12), (0.06, 0.0), (-0.30, 0.04), (-0.85, 0.16), (-0.40, -0.60)];
const WING: [(f32, f32); 7] = [
    (0.20, -0.05),
    (0.06, -0.19),
    (-0.22, -0.15),
    (-0.52, -0.02),
    (-0.74, 0.12),
    (-0.36, 0.15),
    (0.03, 0.12),
];
const QUILLS: [[(f32, f32); 2]; 2] =
    [[(-0.02, 0.02), (-0.56, 0.09)], [(-0.10, -0.07), (-0.48, 0.02)]];
const NEAR_WING: [(f32, f32); 8] = [
    (0.16, -0.05),
    (0.08, -0.45),
    (-0.14, -0.80),
    (-0.42, -1.02),
    (-0.46, -0.74),
    (-0.40, -0.46),
    (-0.28, -0.20),
    (-0.10, -0.02),
];
const QUILLS_FLYING: [[(f32, f32); 2]; 3] = [
    [(0.00, -0.30), (-0.32, -0.84)],
    [(-0.06, -0.22), (-0.38, -0.66)],
    [(-0.10, -0.14), (-0.34, -0.42)],
];
const FAR_WING: [(f32, f32); 6] =
    [(0.30, -0.20), (0.34, -0.56), (0.22, -0.98), (0.02, -0.80), (-0.06, -0.50), (0.02, -0.20)];

fn tail(tail: Tail) -> &'static [(f32, f32)] {
    match tail {
        Tail::Short => &[(-0.40, -0.17), (-0.80, -0.05), (-0.80, 0.14), (-0.44, 0.12)],
        Tail::Long => &[(-0.40, -0.17), (-1.22, 0.03), (-1.24, 0.20), (-0.44, 0.12)],
        Tail::Forked => {
            &[(-0.40, -0.17), (-1.04, -0.20), (-0.74, 0.04), (-1.02, 0.32), (-0.44, 0.12)]
        }
    }
}

fn beak(beak: Beak) -> &'static [(f32, f32)] {
    match beak {
        Beak::Short => &[(0.70, -0.46), (0.94, -0.345), (0.71, -0.25)],
        Beak::Long => &[(0.70, -0.45), (1.22, -0.315), (0.71, -0.26)],
        Beak::Hooked => &[
            (0.70, -0.48),
            (0.88, -0.46),
            (1.00, -0.36),
            (0.97, -0.17),
            (0.87, -0.29),
            (0.71, -0.24),
        ],
    }
}
