//! The page in a headless Chromium.

mod editing;
mod exploring;
mod files;
mod first_look;
mod generating;
mod history;
mod models_served;

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::browser::Browser;
use crate::common::models;
use crate::common::program::Cigan;
use crate::server::Server;

/// JavaScript helpers of the tests: `$(id)`, whether the page is idle, and what it shows.
const HELPERS: &str = r#"
    window.$ = (id) => document.getElementById(id);
    window.all = (selector) => Array.from(document.querySelectorAll(selector));
    window.idle = () => $('go').textContent === 'Generate' && $('edit-go').textContent === 'Edit'
        && $('film-go').textContent === 'Animate';
    window.drawn = (n) => idle() && !$('save-zip').disabled && all('#grid > .cell img').length === n
        && all('#grid > .cell img').every((i) => i.naturalWidth === 16);
    window.edited = () => idle() && !$('edit-codes').disabled;
    window.pictures = () => all('#grid > .cell img').map((i) => i.src).join();
    window.shown = (id) => !$(id).hidden && $(id).naturalWidth === 16;
    window.places = () => JSON.stringify(all('#grid > .cell, #picked, #shelf, .panel, #edit-go').map((e) => {
        const r = e.getBoundingClientRect();
        return [r.x, r.y + scrollY, r.width, r.height].map(Math.round);
    }));
    // Holds back an answer after its first event of this name, as if the work took longer.
    window.upTo = null;
    const fetched = window.fetch;
    window.fetch = async (path, options) => {
        const response = await fetched(path, options);
        if (!upTo) return response;
        const last = `"event":"${upTo}"`;
        const [read, write] = [new TextDecoder(), new TextEncoder()];
        let text = '', held = false;
        const hold = new TransformStream({
            transform(chunk, on) {
                text += read.decode(chunk, { stream: true });
                for (let end; !held && (end = text.indexOf('\n') + 1) > 0; text = text.slice(end)) {
                    on.enqueue(write.encode(text.slice(0, end)));
                    held = text.slice(0, end).includes(last);
                }
            },
            flush: () => held ? new Promise(() => {}) : undefined,
        });
        const { status, headers } = response;
        return new Response(response.body.pipeThrough(hold), { status, headers });
    };
    // Files that the page saves, and pictures that it copies.
    window.saved = null;
    const created = URL.createObjectURL;
    URL.createObjectURL = (blob) => { saved = blob; return created(blob); };
    HTMLAnchorElement.prototype.click = function () { window.savedName = this.download; };
    window.savedBytes = async () => Array.from(new Uint8Array(await saved.arrayBuffer()));
    window.copied = null;
    navigator.clipboard.write = async ([item]) => { copied = await item.getType('image/png'); };
"#;

/// A page in a browser, with its server.
struct Page {
    browser: Browser,
    server: Server,
    cigan: Cigan,
    model: String,
}

impl Page {
    /// Opens the page with a model that has random weights; None if there is no browser.
    fn open() -> Option<Self> {
        let cigan = Cigan::new();
        let model = cigan.path("model.safetensors");
        models::ci_gan(16).file().write(&model).unwrap();
        Self::open_with(cigan, model)
    }

    /// Opens the page with a model or a folder of models.
    fn open_with(cigan: Cigan, model: String) -> Option<Self> {
        let browser = Browser::start()?;
        let server = Server::start(&model, &[]);
        let mut page = Self { browser, server, cigan, model };
        page.size(1280, 900);
        page.go("/");
        Some(page)
    }

    /// Sets the size of the window.
    fn size(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.browser.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Goes to an address of the server.
    fn go(&mut self, address: &str) {
        self.browser.open(&format!("{}{}", self.server.url().trim_end_matches('/'), address));
        self.helped();
    }

    /// Loads the page again.
    fn reload(&mut self) {
        self.browser.value("document.body.dataset.ready = 'old'");
        self.browser.call("Page.reload", json!({}));
        self.until("document.body?.dataset.ready === 'yes'");
        self.helped();
    }

    fn helped(&mut self) {
        self.browser.value(HELPERS);
        self.until("idle()");
    }

    fn value(&mut self, expression: &str) -> Value {
        self.browser.value(expression)
    }

    #[track_caller]
    fn until(&mut self, expression: &str) {
        self.browser.until(expression);
    }

    #[track_caller]
    fn is(&mut self, expression: &str) {
        assert_eq!(self.value(expression), json!(true), "{expression}");
    }

    fn text(&mut self, id: &str) -> String {
        let text = self.value(&format!("$('{id}').textContent"));
        text.as_str().unwrap().to_owned()
    }

    fn set(&mut self, id: &str, value: &str) {
        let value = json!(value);
        self.value(&format!(
            "$('{id}').value = {value}; $('{id}').dispatchEvent(new Event('input', {{ bubbles: true }}))"
        ));
    }

    fn click(&mut self, id: &str) {
        self.value(&format!("$('{id}').click()"));
    }

    /// Generates pictures and waits for them.
    fn draw(&mut self, text: &str, seeds: &str, n: usize) {
        self.set("text", text);
        self.set("seeds", seeds);
        self.click("go");
        let title = json!(text);
        self.until(&format!("drawn({n}) && $('title').textContent === {title}"));
    }

    /// Checks with axe-core that the page, in its present state, has no serious accessibility problem.
    ///
    /// axe-core is not part of this project; CIGAN_AXE names a copy of axe.min.js.
    #[track_caller]
    fn accessible(&mut self, state: &str) {
        let Some(path) = std::env::var_os("CIGAN_AXE") else {
            eprintln!(
                "skipped: CIGAN_AXE is not set, so the accessibility of {state} is not checked"
            );
            return;
        };
        let axe = std::fs::read_to_string(path).unwrap();
        self.browser.call("Runtime.evaluate", json!({ "expression": axe }));
        let found = self.value(
            "axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations
                .filter((v) => v.impact === 'serious' || v.impact === 'critical')
                .map((v) => [v.id, v.nodes.map((n) => n.html)]))",
        );
        assert_eq!(found, json!([]), "{state}");
    }

    /// The file that the page saved last, as its name and its bytes.
    fn saved(&mut self) -> (String, Vec<u8>) {
        self.until("saved !== null");
        let bytes = self.value("savedBytes()");
        let bytes = bytes.as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
        let name = self.value("savedName").as_str().unwrap().to_owned();
        self.value("saved = null");
        (name, bytes)
    }

    /// Ends the test: nothing may have gone wrong in the page, except refusals of the server.
    fn end(mut self) {
        std::thread::sleep(Duration::from_millis(50));
        self.value("0");
        let complaints = &self.browser.complaints;
        let unexpected: Vec<_> = complaints.iter().filter(|c| !c.contains("400")).collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
        let own = "performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin)
            || e.name.startsWith('data:') || e.name.startsWith('blob:'))";
        self.is(own);
    }
}
