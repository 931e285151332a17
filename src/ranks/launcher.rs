//! Recognising processes that `mpirun` or the scheduler of a cluster started together.

use crate::error::Error;

/// Variables with the number of processes and the rank of this one: those of Open MPI, of MPICH and
/// Intel MPI, and of MVAPICH.
const VARIABLES: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"],
];
/// The same from Slurm, which sets them for every job step, with MPI or without it.
const SLURM: [&str; 2] = ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"];
/// Set if Slurm started the step for MPI.
const PMIX: &str = "PMIX_RANK";

/// Processes that were started together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launched {
    /// How many there are; at least 2.
    pub size: usize,
    /// The number of this one.
    pub rank: usize,
}

/// The processes that `mpirun` started together with this one. `None` if there is no other one.
pub fn launched() -> Option<Launched> {
    found(|name| std::env::var(name).ok())
}

fn found(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    let number = |name: &str| variable(name)?.parse::<usize>().ok();
    let pair =
        |[size, rank]: [&str; 2]| Some(Launched { size: number(size)?, rank: number(rank)? });
    let slurm = || variable(PMIX).and_then(|_| pair(SLURM));
    VARIABLES.into_iter().find_map(pair).or_else(slurm).filter(|launched| launched.size > 1)
}

impl Launched {
    /// The error of a build without MPI.
    #[cfg(not(feature = "mpi"))]
    pub(super) fn unconnected(self) -> Error {
        Error::user(format!(
            "{} processes were started, but this build of cigan has no MPI, so each would train \
             alone",
            self.size
        ))
        .hint("build cigan with `--features mpi` (docs/SCALING.md), or start it without mpirun")
    }

    /// The error of a command that runs as one process, unlike these `commands`.
    pub fn refusal(self, commands: &[&str]) -> Error {
        Error::user(format!("{} processes were started, but this command runs as one", self.size))
            .hint(format!(
                "run it without mpirun; the commands that run as several processes are {}",
                commands.join(", ")
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Launched> {
        found(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn launchers_are_recognised() {
        let second = Some(Launched { size: 4, rank: 1 });
        assert_eq!(of(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1")]), second);
        assert_eq!(of(&[("PMI_SIZE", "4"), ("PMI_RANK", "1")]), second);
        let slurm = [("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "1")];
        assert_eq!(of(&slurm), None, "a job step without MPI");
        assert_eq!(of(&[&slurm[..], &[("PMIX_RANK", "1")]].concat()), second);
        assert_eq!(of(&[("PMI_SIZE", "1"), ("PMI_RANK", "0")]), None);
        assert_eq!(of(&[]), None);
    }
}
