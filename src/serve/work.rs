//! The worker, which runs one job after another on the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::CommandLine;
use super::event::{Blob, Done, Event, EventSender};
use super::opened::{self, Models, Opened};
use super::queue::Job;
use super::request::{CodeBatch, EditInput, EditRequest, FilmFormat, FilmRequest, STRIP, Work};
use crate::error::{Error, Result};
use crate::picture;
use crate::studio::{
    Change, Draw, EditSettings, EditSource, EditStep, Edits, describe_code, describe_draw,
    describe_edit,
};
use crate::systems::Capabilities;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::ProjectSettings;

/// Shortest time between two frames.
const MIN_INTERVAL: Duration = Duration::from_millis(80);
/// Shortest time between two frames, as a multiple of the time to draw one.
const COST_FACTOR: u32 = 5;

/// Time for which an animation shows a frame.
const FRAME_TIME: Duration = Duration::from_millis(60);

/// Runs the jobs of the queue.
pub struct Worker<'a> {
    /// The open model.
    pub opened: Opened,
    /// All models, for the checks of requests.
    pub models: &'a Models,
    /// Options of command lines.
    pub options: &'a CommandLine,
    pub device: &'a Device,
}

/// Limits the rate of frames: often enough to show progress, rarely enough to cost little time.
struct FrameLimiter {
    next: Instant,
}

impl FrameLimiter {
    fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// Sends a frame if one is due. `make` returns `None` for a frame that is left out.
    fn frame(&mut self, events: &EventSender, make: impl FnOnce() -> Option<Event>) {
        let began = Instant::now();
        if began < self.next || !events.keeps_up() {
            return;
        }
        if let Some(frame) = make() {
            events.send(&frame);
        }
        let cost = began.elapsed();
        self.next = Instant::now() + MIN_INTERVAL.max(cost * COST_FACTOR);
    }
}

impl Worker<'_> {
    /// Runs a job and sends its result to the page.
    pub fn run(&mut self, job: Job) {
        let can = self.opened.studio.capabilities();
        // A bug that one request triggers must not end the server for the others.
        let done = catch_unwind(AssertUnwindSafe(|| match &job.work {
            Work::Open(index) => self.open(*index),
            _ if job.model != self.models.known().index => {
                Err(Error::user("another model has been opened in the meantime")
                    .hint("reload the page"))
            }
            Work::Draw { request, seeds, keep, vary, settings } => {
                let draw = Draw {
                    prompt: &request.text,
                    seeds,
                    vary: *vary,
                    settings,
                    marks: if request.strip && can.strength { &STRIP } else { &[] },
                    keep: *keep,
                    similarity: None,
                };
                self.draw(&job, &draw, &can)
            }
            Work::Edit { request, input, settings } => self.edit(&job, request, input, settings),
            Work::Directions(count) => self.directions(*count),
            Work::Texts(texts) => self.texts(texts),
            Work::Render { codes, film } => self.render(&job, codes, film.as_ref()),
            #[cfg(test)]
            Work::Nothing => Ok(Done::default()),
        }))
        .unwrap_or_else(|_| {
            Err(Error::internal("the request failed because of a bug in cigan")
                .hint("the terminal of `cigan serve` shows the details"))
        });
        match done {
            Ok(done) if job.wanted() => job.events.send(&Event::Done(Box::new(done))),
            Ok(_) => {}
            Err(error) => job.events.send(&Event::from(&error)),
        }
    }

    /// Opens another model. If that fails, the present one stays open.
    fn open(&mut self, index: usize) -> Result<Done> {
        let began = Instant::now();
        let (opened, known) = opened::open(self.models.paths(), index, self.options, self.device)?;
        self.opened = opened;
        self.models.replace(known);
        Ok(Done { seconds: began.elapsed().as_secs_f64(), ..Done::default() })
    }

    fn draw(&self, job: &Job, draw: &Draw, can: &Capabilities) -> Result<Done> {
        let began = Instant::now();
        let mut limiter = FrameLimiter::new();
        let settings = draw.settings;
        let drawn = self.opened.studio.draw(draw, |step| {
            limiter.frame(&job.events, || match draw.keep {
                None => frame(step.index, &self.opened.studio.images(step.codes), settings).ok(),
                // Which candidates are kept is not known yet.
                Some(_) => {
                    let (step, steps) = (step.index, settings.steps);
                    Some(Event::Frame { step, steps, pictures: Vec::new() })
                }
            });
            job.wanted()
        })?;
        if !job.wanted() {
            return Ok(Done::default());
        }
        let pictures = self.opened.studio.images(&drawn.codes);
        let pictures = drawn.seeds.iter().zip(&pictures).map(|(seed, image)| {
            let text = describe_draw(draw, *seed, &self.opened.model, can);
            Ok(Blob::new(&picture::png::encode(image, &text)?))
        });
        Ok(Done {
            pictures: pictures.collect::<Result<_>>()?,
            strengths: draw.marks.to_vec(),
            strip: self.strip(&drawn.marked)?,
            seeds: drawn.seeds.iter().map(u64::to_string).collect(),
            codes: Some(Blob::new(&self.opened.studio.codes_file(drawn.codes).to_bytes()?)),
            steps: drawn.guided.as_ref().map_or(0, |guided| guided.curve.len() - 1),
            note: drawn.guided.as_ref().and_then(|guided| note(guided, settings)),
            seconds: began.elapsed().as_secs_f64(),
            ..Done::default()
        })
    }

    fn strip(&self, marked: &[Tensor<3>]) -> Result<Vec<Vec<Blob>>> {
        marked.iter().map(|codes| blobs(&self.opened.studio.images(codes))).collect()
    }

    fn edit(
        &self,
        job: &Job,
        request: &EditRequest,
        input: &EditInput,
        settings: &GuidanceSettings,
    ) -> Result<Done> {
        let began = Instant::now();
        let mut limiter = FrameLimiter::new();
        let change = match (&request.text, &request.from, &request.to) {
            (None, Some(from), Some(to)) => {
                Change::Between { from: from.as_str(), to: to.as_str() }
            }
            (text, ..) => Change::To(text.as_deref().unwrap_or_default()),
        };
        let steps = request.refinement(self.opened.studio.capabilities().refinement());
        let edit_settings = EditSettings {
            project: ProjectSettings::refinement(steps),
            layers: request.range(),
            marks: if request.strip { &STRIP } else { &[] },
            ..EditSettings::new(settings)
        };
        let source = match input {
            EditInput::Image(image) => {
                let side = self.opened.studio.resolution();
                EditSource::Images(picture::to_tensor(image.as_raw(), side, self.device))
            }
            EditInput::Code(codes) => EditSource::Codes(self.codes(codes)),
        };
        let edited = self.opened.studio.edit(source, change, &edit_settings, |step| {
            match step {
                EditStep::Projecting(step) => {
                    limiter.frame(&job.events, || Some(Event::Refining { step, steps }));
                }
                EditStep::Inverted(images) => {
                    // A preview that cannot be encoded is left out; the result reports why.
                    let original = match input {
                        EditInput::Image(image) => blob(image),
                        EditInput::Code(_) => blob(&images[0]),
                    };
                    if let (Ok(original), Ok(inversion)) = (original, blob(&images[0])) {
                        job.events.send(&Event::Inverted { original, inversion });
                    }
                }
                EditStep::Tuning(_) => {}
                EditStep::Guiding(step, draw) => {
                    limiter.frame(&job.events, || frame(step, &draw(), settings).ok());
                }
            }
            job.wanted()
        })?;
        if !job.wanted() {
            return Ok(Done::default());
        }
        let edits = request.code.as_ref().map_or(Edits::Image, |code| Edits::Code(code.row));
        let text = describe_edit(edits, &change, &edit_settings, &self.opened.model);
        let pictures = edited.images.iter().map(|image| picture::png::encode(image, &text));
        Ok(Done {
            pictures: pictures.map(|png| Ok(Blob::new(&png?))).collect::<Result<_>>()?,
            strengths: edit_settings.marks.to_vec(),
            strip: edited.marked.iter().map(|images| blobs(images)).collect::<Result<_>>()?,
            steps: edited.guided.curve.len() - 1,
            note: note(&edited.guided, settings),
            codes: Some(Blob::new(&self.opened.studio.codes_file(edited.guided.codes).to_bytes()?)),
            seconds: began.elapsed().as_secs_f64(),
            ..Done::default()
        })
    }
}

/// Work that explores the latent space.
impl Worker<'_> {
    fn codes(&self, codes: &CodeBatch) -> Tensor<3> {
        Tensor::from_data(TensorData::new(codes.values.clone(), codes.shape), self.device)
    }

    fn directions(&self, count: usize) -> Result<Done> {
        let began = Instant::now();
        let found = self.opened.studio.directions(count)?;
        let shares = found.iter().map(|direction| direction.share).collect();
        let vectors = found.into_iter().map(|direction| direction.step).collect();
        let seconds = began.elapsed().as_secs_f64();
        Ok(Done { vectors, shares, seconds, ..Done::default() })
    }

    fn texts(&self, texts: &[String]) -> Result<Done> {
        let began = Instant::now();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = self.opened.studio.text_codes(&texts).unwrap_or_else(|| Ok(Vec::new()))?;
        Ok(Done { vectors, seconds: began.elapsed().as_secs_f64(), ..Done::default() })
    }

    fn render(&self, job: &Job, codes: &CodeBatch, film: Option<&FilmRequest>) -> Result<Done> {
        let began = Instant::now();
        let codes = self.codes(codes);
        let pictures = self.opened.studio.images(&codes);
        let pictures = pictures.iter().enumerate().map(|(row, image)| {
            let text = describe_code(row, &self.opened.model);
            Ok(Blob::new(&picture::png::encode(image, &text)?))
        });
        let pictures = pictures.collect::<Result<Vec<Blob>>>()?;
        let film = film.map(|film| self.film(job, &codes, film)).transpose()?;
        Ok(Done {
            pictures,
            film,
            codes: Some(Blob::new(&self.opened.studio.codes_file(codes).to_bytes()?)),
            seconds: began.elapsed().as_secs_f64(),
            ..Done::default()
        })
    }

    /// An animation from each code to the next, and from the last to the first.
    fn film(&self, job: &Job, codes: &Tensor<3>, film: &FilmRequest) -> Result<Blob> {
        let steps = codes.dims()[0] * film.each;
        let through = self.opened.studio.film(codes.clone());
        let mut limiter = FrameLimiter::new();
        let mut frames = Vec::with_capacity(steps);
        for step in 0..steps {
            if !job.wanted() {
                break;
            }
            for image in picture::from_tensor(through.images(step..step + 1, film.each)?) {
                limiter.frame(&job.events, || {
                    Some(Event::Frame { step, steps, pictures: vec![blob(&image).ok()?] })
                });
                frames.push(picture::enlarge(&image, film.enlarge as u32));
            }
        }
        let bytes = match film.format {
            FilmFormat::Gif => picture::encode_gif(&frames, FRAME_TIME),
            FilmFormat::Webp => picture::encode_webp(&frames, FRAME_TIME),
        };
        Ok(Blob::new(&bytes?))
    }
}

/// A remark if the optimisation ran out of steps before it reached the strength.
fn note(guided: &Guided, settings: &GuidanceSettings) -> Option<String> {
    let (short, all) = (guided.short(), guided.codes.dims()[0]);
    (short > 0).then(|| {
        format!(
            "{short} of {all} did not reach strength {} in {} steps",
            guided.farthest, settings.steps
        )
    })
}

/// The images of a step of the optimisation.
fn frame(step: usize, images: &[RgbImage], settings: &GuidanceSettings) -> Result<Event> {
    Ok(Event::Frame { step, steps: settings.steps, pictures: blobs(images)? })
}

fn blobs(images: &[RgbImage]) -> Result<Vec<Blob>> {
    images.iter().map(blob).collect()
}

/// An image as a PNG file without text, for frames and previews.
fn blob(image: &RgbImage) -> Result<Blob> {
    Ok(Blob::new(&picture::png::encode(image, &[])?))
}
