//! The background of a bird: blurred and pale, as in photographs of birds.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::attributes::{Background, Bird, Part, Pose};
use super::raster::{Ink, Shape, ellipse, polygon};

/// The shapes of the background, in the order of painting. `feet` is y of the bird's feet in canvas
/// units.
pub(super) fn scene(bird: &Bird, feet: f32, rng: &mut ChaCha8Rng) -> Option<Vec<Shape>> {
    let warmth = rng.random_range(-8.0..8.0f32);
    let tone = |c: [u8; 3]| [c[0] as f32 + warmth, c[1] as f32, c[2] as f32 - warmth];
    let fade = |top: [u8; 3], bottom: [u8; 3]| Ink::Fade { top: tone(top), bottom: tone(bottom) };
    let whole = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])?;
    let mut shapes = Vec::new();
    let mut add = |path, ink| {
        shapes.push(Shape { path, ink, part: Part::Background, line: None, clip: None });
    };
    // A bird that stands on the ground has its feet below the horizon.
    let horizon = match bird.pose {
        Pose::Standing => (feet - rng.random_range(0.10..0.22f32)).clamp(0.3, 0.9),
        _ => rng.random_range(0.55..0.8),
    };
    let ground = polygon(&[
        (0.0, horizon),
        (1.0, horizon + rng.random_range(-0.05..0.05)),
        (1.0, 1.0),
        (0.0, 1.0),
    ])?;
    // Number, colours, strength and aspect ratio of the blurred shapes.
    let (blobs, colours, strength, flat): (u32, &[[u8; 3]], f32, f32) = match bird.background {
        Background::Sky => {
            add(whole, fade([150, 190, 226], [208, 226, 238]));
            (4, &[[238, 242, 246]], 0.8, 0.35)
        }
        Background::Leaves => {
            add(whole, fade([150, 176, 128], [118, 146, 104]));
            (16, &[[176, 198, 146], [104, 134, 92], [142, 170, 112], [196, 208, 164]], 0.75, 0.9)
        }
        Background::Water => {
            add(whole, fade([176, 206, 212], [112, 160, 176]));
            (12, &[[150, 190, 200], [128, 172, 186], [196, 220, 224]], 0.7, 0.09)
        }
        Background::Snow => {
            add(whole, fade([186, 194, 206], [208, 214, 222]));
            add(ground, fade([226, 231, 238], [240, 243, 247]));
            (6, &[[214, 220, 230], [198, 206, 218]], 0.6, 0.25)
        }
        Background::Sand => {
            add(whole, fade([214, 216, 208], [222, 212, 192]));
            add(ground, fade([222, 202, 164], [204, 180, 140]));
            (7, &[[212, 192, 156], [230, 214, 180]], 0.6, 0.15)
        }
        Background::Dusk => {
            add(whole, fade([132, 122, 160], [232, 182, 160]));
            (4, &[[214, 164, 166], [176, 146, 170]], 0.7, 0.16)
        }
    };
    for _ in 0..blobs {
        let colour = colours[rng.random_range(0..colours.len())];
        let radius = rng.random_range(0.10..0.26f32);
        let (x, y) = (rng.random_range(0.0..1.0), rng.random_range(0.0..1.0));
        let width = if flat < 0.5 { radius * 1.6 } else { radius };
        add(
            ellipse(x, y, width, radius * flat.max(0.05))?,
            Ink::Glow { colour: tone(colour), strength },
        );
    }
    if bird.pose == Pose::Perching {
        let (slope, half) = (rng.random_range(-0.06..0.06f32), rng.random_range(0.022..0.034f32));
        let y = feet + half;
        shapes.push(Shape {
            path: polygon(&[
                (-0.1, y - slope - half),
                (1.1, y + slope - half),
                (1.1, y + slope + half),
                (-0.1, y - slope + half),
            ])?,
            ink: Ink::Fade { top: [128.0, 108.0, 92.0], bottom: [84.0, 68.0, 58.0] },
            part: Part::Other,
            line: None,
            clip: None,
        });
    }
    Some(shapes)
}
