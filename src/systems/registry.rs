//! The registry: all systems, and the look-ups that find one by model or by command.

use burn::tensor::Device;
use toml::Table;

use super::attention_gan::system::{AttnGan, MirrorGan};
use super::captioner::system::CaptionerSystem;
use super::cigan::system::CiGan;
use super::clip::system::ClipSystem;
use super::clip2gan::system::Clip2Gan;
use super::damsm::system::DamsmSystem;
use super::gan_int_cls::system::GanIntCls;
use super::guidance::GuidanceSettings;
use super::stackgan::system::Stackgan;
use super::style::system::StyleSystem;
use super::stylegan::system::Stylegan;
use super::stylegan_text::system::StyleganText;
use super::{Benchmark, Import, ImportOptions, ImportedModel, Layout, Loaded, Pipeline, System};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::settings::layers::to_table;
use crate::settings::{GUIDANCE, Layers, RUN};
use crate::tensorfile::TensorFile;
use crate::train::{Request, Stage, of_another_command};

/// All systems of the program.
pub static SYSTEMS: Registry = Registry::new(&[
    &StyleganText,
    &Stylegan,
    &CiGan,
    &DamsmSystem,
    &CaptionerSystem,
    &GanIntCls,
    &Stackgan,
    &AttnGan,
    &MirrorGan,
    &Clip2Gan,
    &ClipSystem,
    &StyleSystem,
]);

/// A list of systems. If several stages accept a request, the first one runs, so a system that
/// accepts fewer requests comes before one that accepts more.
pub struct Registry {
    systems: &'static [&'static dyn System],
}

impl Registry {
    /// A registry of these systems.
    pub const fn new(systems: &'static [&'static dyn System]) -> Self {
        Self { systems }
    }

    /// The systems, in the order in which they are asked.
    pub fn systems(&self) -> &'static [&'static dyn System] {
        self.systems
    }

    /// The system that a model belongs to.
    ///
    /// # Errors
    /// If no system knows the model.
    pub fn of(&self, model: &Model) -> Result<&'static dyn System> {
        self.systems.iter().find(|system| system.owns(model)).copied().ok_or_else(|| {
            Error::user(format!(
                "{}: this version of cigan has no system that reads this model",
                model.name()
            ))
            .hint("update cigan; a newer version wrote the model")
        })
    }

    /// Opens a model of any system.
    ///
    /// # Errors
    /// If no system knows the model, or its settings cannot be read.
    pub fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        self.of(model)?.open(model, device)
    }

    /// The stage that a training command runs for a request.
    ///
    /// # Errors
    /// If there is no such command, or the request's settings cannot be read.
    pub fn stage(&self, command: &str, request: &Request) -> Result<&'static dyn Stage> {
        let settings = request.settings()?;
        self.stages()
            .find(|stage| stage.section().command == command && stage.accepts(request, &settings))
            .ok_or_else(|| {
                let owner = settings.get("run.command").and_then(|value| value.as_str());
                if let (Some(run), Some(owner)) = (&request.resume, owner)
                    && owner != command
                {
                    return of_another_command(run, owner, command);
                }
                Error::user(format!("no system trains with the command `{command}`"))
                    .hint(format!("the commands are {}", self.commands(|_| true).join(", ")))
            })
    }

    /// The training commands with a stage that several processes can train together.
    pub fn commands_on_ranks(&self) -> Vec<&'static str> {
        self.commands(|stage| stage.runs_on_ranks())
    }

    /// The commands of some of the stages.
    fn commands(&self, of: impl Fn(&dyn Stage) -> bool) -> Vec<&'static str> {
        let mut commands = Vec::new();
        for stage in self.stages().filter(|stage| of(*stage)) {
            let command = stage.section().command;
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }

    /// The stages of all systems, in the order in which they are asked.
    fn stages(&self) -> impl Iterator<Item = &'static dyn Stage> {
        self.systems.iter().flat_map(|system| system.stages()).copied()
    }

    /// The pipeline of the system with this name, such as `GAN-INT-CLS` or `gan-int-cls` (its value of
    /// `--system`), or the first one that a system declares.
    ///
    /// # Errors
    /// If no such system declares a pipeline; the hint lists those that do.
    pub fn pipeline(&self, system: Option<&str>) -> Result<&'static Pipeline> {
        let all = || self.systems.iter().filter_map(|s| Some((*s, s.pipeline()?)));
        let named = |found: &dyn System, name: &str| {
            let mut sections = found.stages().iter().map(|stage| stage.section());
            found.name() == name || sections.any(|section| section.system_name() == name)
        };
        let found = all().find(|(found, _)| system.is_none_or(|system| named(*found, system)));
        found.map(|(_, pipeline)| pipeline).ok_or_else(|| {
            let known: Vec<&str> = all().map(|(system, _)| system.name()).collect();
            let name = system.unwrap_or("train");
            Error::user(format!("{name}: no system of this name is trained as a whole"))
                .hint(format!("choose one of {}", known.join(", ")))
        })
    }

    /// The values of `--system` of a command that trains one of several systems.
    pub fn systems_of(&self, command: &str) -> Vec<String> {
        let sections = self.stages().map(|stage| stage.section());
        sections.filter(|s| s.command == command).map(Section::system_name).collect()
    }

    /// The resolved settings of all stages and of guidance, as tables, for images of `resolution`.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn settings(&self, layers: &Layers, resolution: usize) -> Result<Table> {
        let mut table = self.settings_of(|_| true, layers, resolution)?;
        let guidance = layers.resolve(GUIDANCE, &GuidanceSettings::default())?;
        table.insert(GUIDANCE.into(), to_table(&guidance)?.into());
        Ok(table)
    }

    /// The resolved settings of the stages of a pipeline, as tables, for images of `resolution`.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn pipeline_settings(
        &self,
        pipeline: &Pipeline,
        layers: &Layers,
        resolution: usize,
    ) -> Result<Table> {
        let sections = || pipeline.stages.iter().map(|stage| stage.section.name);
        self.settings_of(|name| sections().any(|own| own == name), layers, resolution)
    }

    /// The resolved settings of the stages with the sections that `has` accepts, as tables.
    fn settings_of(
        &self,
        has: impl Fn(&str) -> bool,
        layers: &Layers,
        resolution: usize,
    ) -> Result<Table> {
        let mut table = Table::new();
        for stage in self.stages().filter(|stage| has(stage.section().name)) {
            let name = stage.section().name;
            // Stages that share a table resolve it alike.
            if !table.contains_key(name) {
                table.insert(name.into(), stage.settings(resolution, layers)?.into());
            }
        }
        Ok(table)
    }

    /// The model sections of all systems: those of a system in pipeline order.
    pub fn sections(&self) -> Vec<&'static Section> {
        let mut sections: Vec<&'static Section> = Vec::new();
        for section in self.systems.iter().flat_map(|system| system.sections()).copied() {
            if !sections.contains(&section) {
                sections.push(section);
            }
        }
        sections
    }

    /// The layouts of other programs that some system can export its models in.
    pub fn layouts(&self) -> Vec<&'static Layout> {
        let mut layouts: Vec<&'static Layout> = Vec::new();
        for layout in self.systems.iter().flat_map(|system| system.layouts()) {
            if layouts.iter().all(|known| known.name != layout.name) {
                layouts.push(layout);
            }
        }
        layouts
    }

    /// The file of a model, in the layout of another program or in its own, whole or only with the
    /// networks that generate images.
    ///
    /// # Errors
    /// If the model's system has no such layout, or cannot leave networks out.
    pub fn export(
        &self,
        model: &Model,
        layout: Option<&str>,
        generator_only: bool,
    ) -> Result<TensorFile> {
        let system = self.of(model)?;
        let refused = |flag: &str| {
            Error::user(format!(
                "{flag}: {} is a model of {}, which cannot be exported this way",
                model.name(),
                system.name()
            ))
            .hint("omit the flag to export the whole model in the layout of cigan")
        };
        let Some(name) = layout else {
            return match generator_only {
                false => Ok(model.file().clone()),
                true => system.generator_only(model).ok_or_else(|| refused("--only generator")),
            };
        };
        match system.layouts().iter().find(|layout| layout.name == name) {
            Some(layout) => (layout.export)(model, generator_only),
            None => Err(refused(&format!("--layout {name}"))),
        }
    }

    /// The files of other programs that some system imports.
    pub fn imports(&self) -> impl Iterator<Item = &'static Import> {
        self.systems.iter().flat_map(|system| system.imports())
    }

    /// The model that the system with this import builds from the tensors of a file.
    ///
    /// # Errors
    /// If no system has such an import, or the file or an option does not fit it.
    pub fn import(
        &self,
        name: &str,
        file: TensorFile,
        options: &ImportOptions,
    ) -> Result<ImportedModel> {
        let Some(found) = self.imports().find(|import| import.name == name) else {
            let known: Vec<&str> = self.imports().map(|import| import.name).collect();
            return Err(Error::user(format!("{name}: no system imports such files"))
                .hint(format!("choose one of {}", known.join(", "))));
        };
        (found.import)(file, options)
    }

    /// The tasks of all systems that `cigan bench` times.
    pub fn benchmarks(&self) -> impl Iterator<Item = &'static dyn Benchmark> {
        self.systems.iter().flat_map(|system| system.benchmarks()).copied()
    }

    /// The task with this name.
    ///
    /// # Errors
    /// If no system declares it.
    pub fn benchmark(&self, name: &str) -> Result<&'static dyn Benchmark> {
        self.benchmarks().find(|benchmark| benchmark.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.benchmarks().map(Benchmark::name).collect();
            Error::user(format!("{name}: no system declares this task"))
                .hint(format!("choose one of {}", known.join(", ")))
        })
    }

    /// Names of all tables that a settings file may contain.
    pub fn tables(&self) -> Vec<&'static str> {
        let mut names = vec![RUN];
        // Sections that are only imported have no settings.
        for section in self.sections() {
            let trained = self.stages().any(|stage| stage.section() == section);
            if trained && !names.contains(&section.name) {
                names.push(section.name);
            }
        }
        names.push(GUIDANCE);
        names
    }
}

/// The system of the program that a model belongs to; see [`Registry::of`].
///
/// # Errors
/// If no system knows the model.
pub fn of(model: &Model) -> Result<&'static dyn System> {
    SYSTEMS.of(model)
}

/// Opens a model of any system of the program to draw images in one of its sizes; see
/// [`Loaded::at_scale`].
///
/// # Errors
/// If the model cannot be opened, or has no such size.
pub fn open_at_scale(
    model: &Model,
    scale: Option<usize>,
    device: &Device,
) -> Result<Box<dyn Loaded>> {
    let loaded = open(model, device)?;
    match scale {
        Some(scale) => loaded.at_scale(scale),
        None => Ok(loaded),
    }
}

/// Opens a model of any system of the program; see [`Registry::open`].
///
/// # Errors
/// If no system knows the model, or its settings cannot be read.
pub fn open(model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
    SYSTEMS.open(model, device)
}
