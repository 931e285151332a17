//! Checking that all ranks do the same work, before they begin.

use std::io::Read as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use toml::Table;

use crate::error::{Error, Result};
use crate::ranks::Ranks;
use crate::settings::differences;

/// The inputs that must be equal on all ranks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The flags that are not among the settings, in the same order on all ranks.
    pub flags: Vec<Flag>,
    /// Hash of the archive.
    pub data: String,
    /// All settings, as TOML. Only those of rank 0 decide how long a run takes and what it saves;
    /// different values on another rank would be ignored.
    pub settings: String,
    /// Model of the device.
    pub device: String,
}

/// A flag of a command and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Flag {
    name: String,
    /// `None` if the flag is not given; empty if it takes no value.
    value: Option<String>,
}

impl Flag {
    pub(super) fn new(name: &str, value: Option<String>) -> Self {
        Self { name: name.to_owned(), value }
    }

    /// How this flag differs from the one of rank 0.
    fn difference(&self, first: &Self) -> Option<String> {
        let name = &self.name;
        let with = |value: &str| format!("{name} {value}").trim_end().to_owned();
        match (&self.value, &first.value) {
            (own, first) if own == first => None,
            (Some(own), Some(first)) => Some(format!("its {name} is {own}, not {first}")),
            (Some(own), None) => Some(format!("it has {}, which rank 0 lacks", with(own))),
            (None, Some(first)) => Some(format!("it lacks {}", with(first))),
            (None, None) => None,
        }
    }
}

/// Checks that all ranks have the same facts and the same program, and sends the checkpoint `state`
/// of rank 0 to all. Returns that checkpoint; it is empty if there is none.
///
/// # Errors
/// If they differ, or a rank has failed. The error says which rank differs, and in what.
pub(super) fn agree(ranks: &Ranks, facts: &Facts, state: &[u8]) -> Result<Vec<u8>> {
    let own = serde_json::to_vec(&(ranks.name(), program(), facts))
        .map_err(|e| Error::internal(format!("facts about a rank: {e}")))?;
    let messages = ranks.meet(Ok(own))?;
    let differs = |name: &str, (finding, hint): (String, &str)| {
        Error::user(format!("{name} differs from rank 0: {finding}")).hint(hint)
    };
    // Another program may have other facts.
    let all: Vec<(String, String, Value)> = parsed(&messages)?;
    let differing = match all.iter().find(|(_, program, _)| *program != all[0].1) {
        Some((name, program, _)) => {
            let finding = format!("its program is {program}, not {}", all[0].1);
            Some(differs(name, (finding, "install the same program on all machines")))
        }
        None => {
            let all: Vec<(String, String, Facts)> = parsed(&messages)?;
            let first = &all[0].2;
            all.iter().find_map(|(name, _, facts)| Some(differs(name, difference(first, facts)?)))
        }
    };
    // All ranks find the same difference.
    let mut states = ranks.meet(differing.map_or(Ok(state.to_vec()), Err))?;
    Ok(states.swap_remove(0))
}

fn parsed<T: DeserializeOwned>(messages: &[Vec<u8>]) -> Result<Vec<T>> {
    let facts = messages.iter().map(|message| serde_json::from_slice(message));
    facts
        .collect::<serde_json::Result<_>>()
        .map_err(|e| Error::internal(format!("facts about another rank: {e}")))
}

/// The first difference between two ranks, and what to do about it.
fn difference(first: &Facts, facts: &Facts) -> Option<(String, &'static str)> {
    // Flags come first: a rank without --resume usually differs in settings and archive as well.
    let flags = facts.flags.iter().zip(&first.flags);
    if let Some(finding) = flags.into_iter().find_map(|(own, first)| own.difference(first)) {
        return Some((finding, "give all ranks the same flags"));
    }
    if facts.data != first.data {
        let finding = format!(
            "its archive of --data has the hash {:.12}, not {:.12}",
            facts.data, first.data
        );
        return Some((finding, "copy the archive to all machines"));
    }
    if facts.settings != first.settings {
        let keys = changed(&first.settings, &facts.settings);
        let finding = format!("its settings differ in {}", keys.join(", "));
        return Some((finding, "give all ranks the same flags, files and --resume"));
    }
    if facts.device != first.device {
        let finding = format!("it computes on {}, not on {}", facts.device, first.device);
        let hint = "use the same kind of device and the same --threads on all ranks; otherwise results differ";
        return Some((finding, hint));
    }
    None
}

/// The keys in which two settings differ.
fn changed(first: &str, other: &str) -> Vec<String> {
    let (Ok(first), Ok(other)) = (first.parse::<Table>(), other.parse::<Table>()) else {
        return vec!["their form".to_owned()];
    };
    let mut keys = differences(&first, &other);
    keys.extend(differences(&other, &first));
    keys.sort();
    keys.dedup();
    keys
}

/// The version of this program, with a part of its hash, because the version number does not change
/// with every build.
fn program() -> String {
    let hash = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(std::env::current_exe()?)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(data_encoding::HEXLOWER.encode(&hash.finalize()[..6])),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    match hash() {
        Ok(hash) => format!("cigan {version} ({hash})"),
        Err(_) => format!("cigan {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::{Reduce, threads};

    fn facts() -> Facts {
        let settings = "[run]\nseed = 1\n[stylegan]\nbatch = 4".to_owned();
        let flags = [("--resume", None), ("--dry-run", None), ("--reduce", Some("exact"))];
        let flags = flags.map(|(name, value)| Flag::new(name, value.map(str::to_owned)));
        let device = "CPU, 1 thread".to_owned();
        Facts { flags: flags.to_vec(), data: "d".repeat(64), settings, device }
    }

    /// The facts of a rank one of whose flags has another value.
    fn flagged(name: &str, value: Option<&str>) -> Facts {
        let mut facts = facts();
        let flag = facts.flags.iter_mut().find(|flag| flag.name == name).unwrap();
        flag.value = value.map(str::to_owned);
        facts
    }

    fn agreed(second: Facts) -> [Result<Vec<u8>>; 2] {
        let ranks = threads(2, Reduce::Exact);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| agree(&ranks[1], &second, b""));
            let first = agree(&ranks[0], &facts(), b"state");
            [first, other.join().unwrap()]
        })
    }

    #[test]
    fn another_version_may_have_other_facts() {
        let ranks = threads(2, Reduce::Exact);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let facts = serde_json::json!(["rank 1 on b", "cigan 9 (abc)", { "new": 1 }]);
                ranks[1].meet(Ok(facts.to_string().into_bytes())).unwrap();
                let _ = ranks[1].meet(Ok(Vec::new()));
            });
            let error = agree(&ranks[0], &facts(), b"").unwrap_err();
            let expected = "rank 1 on b differs from rank 0: its program is cigan 9 (abc), not ";
            assert!(error.message.starts_with(expected), "{}", error.message);
        });
    }

    #[test]
    fn ranks_that_agree_get_the_checkpoint() {
        assert_eq!(agreed(facts()).map(Result::unwrap), [b"state".to_vec(), b"state".to_vec()]);
    }

    #[test]
    fn errors_say_which_rank_differs_in_what() {
        let settings = "[run]\nseed = 2\n[stylegan]\nbatch = 4".to_owned();
        for (second, finding) in [
            (Facts { settings, ..facts() }, "its settings differ in run.seed"),
            (Facts { data: "e".repeat(64), ..facts() }, "has the hash eeeeeeeeeeee, not"),
            (Facts { device: "CPU, 2 threads".into(), ..facts() }, "computes on CPU, 2 threads"),
            (flagged("--resume", Some("runs/a")), "it has --resume runs/a, which rank 0 lacks"),
            (flagged("--dry-run", Some("")), "it has --dry-run, which"),
            (flagged("--reduce", Some("fast")), "its --reduce is fast, not exact"),
            (flagged("--reduce", None), "it lacks --reduce exact"),
        ] {
            let [first, other] = agreed(second);
            let message = first.unwrap_err().message;
            assert!(message.starts_with("rank 1 on "), "{message}");
            assert!(message.contains(finding), "{message}");
            assert!(other.unwrap_err().message.contains(finding));
        }
    }
}
