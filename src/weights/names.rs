//! Names of tensors in files of other programs: wrappers around a network prefix them.

/// Prefixes that PyTorch and training scripts add to the names of a network's tensors:
/// `DataParallel`, `torch.compile`, and dicts around the state dict.
const WRAPPERS: [&str; 5] = ["module.", "_orig_mod.", "state_dict.", "model_state_dict.", "model."];

/// A name without the known wrappers.
pub(crate) fn unwrapped(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

/// The prefix that all names of a file have, such as `encoder.`, if it has `name` with it.
pub(super) fn unknown_prefix<'a>(
    name: &str,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Option<&'a str> {
    let mut prefixes = names
        .clone()
        .filter_map(|found| found.strip_suffix(name).filter(|prefix| prefix.ends_with('.')));
    prefixes.find(|prefix| names.clone().all(|other| other.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_removed_in_any_order() {
        for name in ["a.weight", "module.a.weight", "_orig_mod.module.a.weight"] {
            assert_eq!(unwrapped(name), "a.weight");
        }
        assert_eq!(unwrapped("state_dict.module.a"), "a");
        assert_eq!(unwrapped("lin0.model.1.weight"), "lin0.model.1.weight");
        let names = ["encoder.a.weight".to_owned(), "encoder.b.bias".to_owned()];
        assert_eq!(unknown_prefix("a.weight", names.iter()), Some("encoder."));
        assert_eq!(unknown_prefix("b.weight", names.iter()), None);
        // The same name in another part of the network is another tensor.
        let parts = ["text.a".to_owned(), "a.b".to_owned()];
        assert_eq!(unknown_prefix("a", parts.iter()), None);
    }
}
