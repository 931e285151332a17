//! The files of the page, which are part of the program.

/// A file of the page.
pub struct Asset {
    /// Its address.
    pub path: &'static str,
    /// Its content type.
    pub kind: &'static str,
    /// Its content.
    pub text: &'static str,
}

macro_rules! assets {
    ($($path:literal, $kind:literal, $file:literal;)*) => {
        &[$(Asset { path: $path, kind: $kind, text: include_str!(concat!("page/", $file)) }),*]
    };
}

/// All files of the page.
pub const ASSETS: &[Asset] = assets![
    "/", "text/html; charset=utf-8", "index.html";
    "/api", "text/html; charset=utf-8", "api.html";
    "/api/openapi.json", "application/json", "openapi.json";
    "/api.js", "text/javascript; charset=utf-8", "api.js";
    "/style.css", "text/css; charset=utf-8", "style.css";
    "/icon.svg", "image/svg+xml", "icon.svg";
    "/app.js", "text/javascript; charset=utf-8", "app.js";
    "/dom.js", "text/javascript; charset=utf-8", "dom.js";
    "/editor.js", "text/javascript; charset=utf-8", "editor.js";
    "/explore.js", "text/javascript; charset=utf-8", "explore.js";
    "/files.js", "text/javascript; charset=utf-8", "files.js";
    "/form.js", "text/javascript; charset=utf-8", "form.js";
    "/grid.js", "text/javascript; charset=utf-8", "grid.js";
    "/history.js", "text/javascript; charset=utf-8", "history.js";
    "/keys.js", "text/javascript; charset=utf-8", "keys.js";
    "/models.js", "text/javascript; charset=utf-8", "models.js";
    "/picked.js", "text/javascript; charset=utf-8", "picked.js";
    "/png.js", "text/javascript; charset=utf-8", "png.js";
    "/request.js", "text/javascript; charset=utf-8", "request.js";
    "/shelf.js", "text/javascript; charset=utf-8", "shelf.js";
    "/watch.js", "text/javascript; charset=utf-8", "watch.js";
    "/waiting.html", "text/html; charset=utf-8", "waiting.html";
    "/waiting.js", "text/javascript; charset=utf-8", "waiting.js";
    "/zip.js", "text/javascript; charset=utf-8", "zip.js";
];
