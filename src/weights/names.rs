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

/// The prefix that a network has in a file, such as `encoder.`, if `name` is missing without it. `None`
/// if the file has other tensors of the same part of the network without a prefix.
pub(super) fn unknown_prefix<'a>(
    name: &str,
    mut names: impl Iterator<Item = &'a String> + Clone,
) -> Option<&'a str> {
    if let Some((part, _)) = name.split_once('.')
        && names.clone().any(|other| other.split('.').next() == Some(part))
    {
        return None;
    }
    names.find_map(|found| found.strip_suffix(name).filter(|prefix| prefix.ends_with('.')))
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
        let names = ["encoder.a.weight".to_owned(), "xa.weight".to_owned()];
        assert_eq!(unknown_prefix("a.weight", names.iter()), Some("encoder."));
        assert_eq!(unknown_prefix("b.weight", names.iter()), None);
        // The same name in another part of the network is another tensor.
        let parts = ["image.block.weight".to_owned(), "block.bias".to_owned()];
        assert_eq!(unknown_prefix("block.weight", parts.iter()), None);
    }
}
