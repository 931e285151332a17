//! The worker, which runs one job after another on the model.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use super::event::{Blob, Done, Event, EventSender};
use super::queue::Job;
use super::request::{DrawRequest, EditInput, EditRequest, STRIP, Work};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::studio::{
    Change, Draw, EditSettings, EditSource, EditStep, Studio, Vary, codes_file, describe_draw,
    describe_edit,
};
use crate::systems::guidance::{GuidanceSettings, Guided};

/// Shortest time between two frames.
const MIN_INTERVAL: Duration = Duration::from_millis(80);
/// Shortest time between two frames, as a multiple of the time to draw one.
const COST_FACTOR: u32 = 5;

/// Runs the jobs of the queue.
pub struct Worker<'a> {
    pub studio: &'a Studio,
    /// The model that the studio was opened with.
    pub model: &'a Model,
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
    pub fn run(&self, job: Job) {
        // A bug that one request triggers must not end the server for the others.
        let done = catch_unwind(AssertUnwindSafe(|| match &job.work {
            Work::Draw { request, seeds, vary, settings } => {
                self.draw(&job, request, seeds, *vary, settings)
            }
            Work::Edit { request, input, settings } => self.edit(&job, request, input, settings),
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

    fn draw(
        &self,
        job: &Job,
        request: &DrawRequest,
        seeds: &[u64],
        vary: Option<Vary>,
        settings: &GuidanceSettings,
    ) -> Result<Done> {
        let began = Instant::now();
        let mut limiter = FrameLimiter::new();
        let can = self.studio.capabilities();
        let marks: &[f64] = if request.strip && can.strength { &STRIP } else { &[] };
        let draw = Draw { prompt: &request.text, seeds, vary, settings, marks, keep: None };
        let drawn = self.studio.draw(&draw, |step| {
            limiter.frame(&job.events, || self.frame(step.index, step.codes, settings).ok());
            job.wanted()
        })?;
        if !job.wanted() {
            return Ok(Done::default());
        }
        let pictures = self.studio.images(&drawn.codes);
        let pictures = drawn.seeds.iter().zip(&pictures).map(|(seed, image)| {
            let text = describe_draw(&draw, *seed, self.model, &can);
            Ok(Blob::new(&picture::png::encode(image, &text)?))
        });
        Ok(Done {
            pictures: pictures.collect::<Result<_>>()?,
            strengths: marks.to_vec(),
            strip: self.strip(&drawn.marked)?,
            codes: Some(Blob::new(&codes_file(drawn.codes).to_bytes()?)),
            steps: drawn.guided.as_ref().map_or(0, |guided| guided.curve.len() - 1),
            note: drawn.guided.as_ref().and_then(|guided| note(guided, settings)),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    fn frame(&self, step: usize, codes: &Tensor<3>, settings: &GuidanceSettings) -> Result<Event> {
        let pictures = blobs(&self.studio.images(codes))?;
        Ok(Event::Frame { step, steps: settings.steps, pictures })
    }

    fn strip(&self, marked: &[Tensor<3>]) -> Result<Vec<Vec<Blob>>> {
        marked.iter().map(|codes| blobs(&self.studio.images(codes))).collect()
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
        let edit_settings = EditSettings {
            guidance: settings,
            project: request.project,
            layers: request.range(),
            marks: if request.strip { &STRIP } else { &[] },
        };
        let source = match input {
            EditInput::Image(image) => {
                let side = self.studio.resolution();
                EditSource::Images(picture::to_tensor(image.as_raw(), side, self.device))
            }
            EditInput::Code { values, size: [vectors, dim] } => {
                let values = TensorData::new(values.clone(), [1, *vectors, *dim]);
                EditSource::Codes(Tensor::from_data(values, self.device))
            }
        };
        let edited = self.studio.edit(source, change, &edit_settings, |step| {
            match step {
                EditStep::Projecting(step) => {
                    let steps = request.project;
                    limiter.frame(&job.events, || Some(Event::Refining { step, steps }));
                }
                EditStep::Inverted(images) => {
                    // A preview that cannot be encoded is left out; the result reports why.
                    let original = match input {
                        EditInput::Image(image) => blob(image),
                        EditInput::Code { .. } => blob(&images[0]),
                    };
                    if let (Ok(original), Ok(inversion)) = (original, blob(&images[0])) {
                        job.events.send(&Event::Inverted { original, inversion });
                    }
                }
                EditStep::Guiding(step, codes) => {
                    limiter.frame(&job.events, || self.frame(step, codes, settings).ok());
                }
            }
            job.wanted()
        })?;
        if !job.wanted() {
            return Ok(Done::default());
        }
        let text = describe_edit(&change, &edit_settings, self.model);
        let pictures = self.studio.images(&edited.guided.codes);
        let pictures = pictures.iter().map(|image| picture::png::encode(image, &text));
        Ok(Done {
            pictures: pictures.map(|png| Ok(Blob::new(&png?))).collect::<Result<_>>()?,
            strengths: edit_settings.marks.to_vec(),
            strip: self.strip(&edited.guided.marked)?,
            steps: edited.guided.curve.len() - 1,
            note: note(&edited.guided, settings),
            codes: Some(Blob::new(&codes_file(edited.guided.codes).to_bytes()?)),
            seconds: began.elapsed().as_secs_f64(),
        })
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

fn blobs(images: &[RgbImage]) -> Result<Vec<Blob>> {
    images.iter().map(blob).collect()
}

/// An image as a PNG file without text, for frames and previews.
fn blob(image: &RgbImage) -> Result<Blob> {
    Ok(Blob::new(&picture::png::encode(image, &[])?))
}
