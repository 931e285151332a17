//! A headless Chromium, controlled through its debugging protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// A browser with one page.
pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    /// Exceptions and log entries of the page, as JSON.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium or Chrome. Returns None if neither is installed, but panics if the
    /// environment variable `CIGAN_REQUIRE_CHROMIUM` is set.
    pub fn start() -> Option<Self> {
        let required = std::env::var_os("CIGAN_REQUIRE_CHROMIUM").is_some();
        let profile = tempfile::tempdir().unwrap();
        let start = |program: &&str| {
            Command::new(program)
                .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
                .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg("about:blank")
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        };
        let programs = ["chromium", "chromium-browser", "google-chrome"];
        let Some(mut process) = programs.iter().find_map(start) else {
            assert!(!required, "none of {programs:?} can be started");
            eprintln!("skipped: none of {programs:?} can be started");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("chromium prints its address").unwrap();
            if let Some(address) = line.strip_prefix("DevTools listening on ") {
                break address.trim().to_owned();
            }
        };
        // Keep reading: chromium would block once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (socket, _) = tungstenite::client(&address, stream).unwrap();
        let mut browser = Self {
            process,
            socket,
            session: String::new(),
            calls: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "DOM"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.try_call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let answer = self.socket.read().expect("chromium answers");
            let Ok(text) = answer.to_text() else { continue };
            let Ok(answer) = serde_json::from_str::<Value>(text) else { continue };
            let event = answer["method"].as_str().unwrap_or_default();
            if event == "Runtime.exceptionThrown" || event == "Log.entryAdded" {
                self.complaints.push(answer["params"].to_string());
            }
            if answer["id"] == json!(id) {
                let error = &answer["error"];
                return if error.is_null() {
                    Ok(answer["result"].clone())
                } else {
                    Err(error.clone())
                };
            }
        }
    }

    /// Opens an address and waits until the page is ready.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.until("document.body?.dataset.ready === 'yes'");
    }

    /// Evaluates a JavaScript expression and awaits its promise.
    pub fn value(&mut self, expression: &str) -> Value {
        self.try_value(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_value(&mut self, expression: &str) -> Result<Value, Value> {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let found = self.try_call("Runtime.evaluate", params)?;
        assert!(found["exceptionDetails"].is_null(), "{expression}: {}", found["exceptionDetails"]);
        Ok(found["result"]["value"].clone())
    }

    /// Waits until an expression is true, even if the browser goes to another page meanwhile.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let began = Instant::now();
        // An evaluation fails if the browser leaves the page while it runs.
        while self.try_value(expression) != Ok(json!(true)) {
            if began.elapsed() > Duration::from_secs(60) {
                let status = self.value("document.body.innerText");
                panic!("timed out waiting for: {expression}\n{status}\n{:?}", self.complaints);
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        let text = if key == "Enter" { "\r" } else { text };
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Types text into the focused element.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Selects a file in an `<input type=file>`.
    pub fn choose(&mut self, selector: &str, path: &str) {
        let root = self.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        let find = json!({ "nodeId": root, "selector": selector });
        let node = self.call("DOM.querySelector", find)["nodeId"].clone();
        self.call("DOM.setFileInputFiles", json!({ "nodeId": node, "files": [path] }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
