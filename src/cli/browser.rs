//! The flag `--open`: opens a page with the platform's opener.

use super::terminal::Terminal;

/// Opens a page, given by its address or path. A failure is only a warning, because the page can
/// still be opened by hand.
pub fn open_page(page: impl AsRef<std::ffi::OsStr>, terminal: &mut Terminal) {
    if let Err(e) = open::that_detached(page) {
        terminal.warning(&format!("--open: cannot start a browser: {e}"));
    }
}
