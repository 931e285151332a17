//! A running `cigan serve`, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use serde_json::{Value, json};

use crate::common::program::Cigan;

/// Trains a model through all stages and writes a photo; returns both paths.
pub fn trained(cigan: &Cigan) -> (String, String) {
    let data = cigan.synth(48, 16);
    let stage1 = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let stage1 = stage1.display().to_string();
    let stage2 = cigan.train(&["invert", "--data", &data, "--model", &stage1], "0.016");
    let stage2 = stage2.display().to_string();
    let stage3 = cigan.train(&["align-text", "--data", &data, "--model", &stage2], "0.032");
    let photo = cigan.path("photo of a bird.png");
    RgbImage::from_fn(50, 40, |x, y| image::Rgb([(x * 5) as u8, (y * 6) as u8, 90]))
        .save(&photo)
        .unwrap();
    (stage3.display().to_string(), photo)
}

/// A running server.
pub struct Server {
    process: Child,
    /// host:port.
    pub host: String,
    _out: BufReader<ChildStdout>,
}

impl Server {
    pub fn start(model: &str, more: &[&str]) -> Self {
        Self::start_with(model, more, Stdio::null())
    }

    /// Starts a server that writes its messages to `messages`.
    pub fn start_with(model: &str, more: &[&str], messages: Stdio) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cigan"))
            .args(["serve", "--port", "0", "--device", "cpu", "--model", model])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        out.read_line(&mut url).unwrap();
        let host = url.trim().strip_prefix("http://").expect("an address").trim_end_matches('/');
        Self { process, host: host.to_owned(), _out: out }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.host)
    }

    /// Sends a request and returns the connection, from which the reply can be read.
    pub fn send(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut text = format!("{head} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(text.as_bytes()).unwrap();
        // A server that refuses early may not read the rest.
        let _ = stream.write_all(body);
        stream
    }

    pub fn request(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        Reply::read(self.send(head, headers, body))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), &[], b"")
    }

    /// Draws images, as the page `page`.
    pub fn draw(&self, page: &str, request: &Value) -> Reply {
        self.request(
            "POST /api/generate",
            &[("x-cigan-page", page)],
            request.to_string().as_bytes(),
        )
    }

    pub fn edit(&self, request: &Value, picture: &[u8]) -> Reply {
        let (kind, body) = form(request, Some(picture));
        self.request("POST /api/edit", &[("x-cigan-page", "e"), ("Content-Type", &kind)], &body)
    }

    /// Asks what the model sees of an image.
    pub fn look(&self, picture: &[u8]) -> Reply {
        let mut body = field("image").into_bytes();
        body.extend_from_slice(picture);
        body.extend_from_slice(b"\r\n--b0rder--\r\n");
        let kind = ("Content-Type", "multipart/form-data; boundary=b0rder");
        self.request("POST /api/look", &[("x-cigan-page", "l"), kind], &body)
    }

    #[cfg(unix)]
    pub fn interrupt(&mut self) -> Option<i32> {
        // SAFETY: the child has not been waited for, so its id is still its own.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) };
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A reply of the server.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut body = bytes[end + 4..].to_vec();
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The events: one JSON value per line.
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last event, which must be `done`.
    pub fn done(&self) -> Value {
        let last = self.lines().pop().unwrap();
        assert_eq!(last["event"], "done", "{last}");
        last
    }

    #[track_caller]
    pub fn refused(&self, status: u16, expected: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let answer: Value = serde_json::from_slice(&self.body).unwrap();
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(expected), "`{expected}` is not in `{message}`");
        let hint = answer["hint"].as_str().unwrap_or_default();
        assert!(!hint.is_empty(), "no hint: {message}");
        // The page has fields, not flags.
        let flags = message.contains("--") || hint.contains(" --");
        assert!(status != 400 || !flags, "{message}: {hint}");
    }
}

pub fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        out.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 4 + size..];
    }
    out
}

/// The head of a field of a form.
fn field(name: &str) -> String {
    format!("--b0rder\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n")
}

/// The form of an edit: its content type and its bytes.
pub fn form(request: &Value, picture: Option<&[u8]>) -> (String, Vec<u8>) {
    let mut body = field("ask").into_bytes();
    body.extend_from_slice(request.to_string().as_bytes());
    body.extend_from_slice(b"\r\n");
    if let Some(picture) = picture {
        body.extend_from_slice(field("image").as_bytes());
        body.extend_from_slice(picture);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0rder--\r\n");
    ("multipart/form-data; boundary=b0rder".to_owned(), body)
}

pub fn bytes(blob: &Value) -> Vec<u8> {
    STANDARD.decode(blob.as_str().unwrap()).unwrap()
}

pub fn pixels(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

pub fn draw() -> Value {
    json!({ "text": "a red bird", "seeds": "0-2,7", "strength": 0.4, "truncation": 0.6, "steps": 60 })
}

pub fn edit() -> Value {
    json!({ "name": "photo of a bird.png", "text": "a blue bird", "strength": 0.3, "preserve": 0.2,
        "steps": 40 })
}

/// Runs a command line that the page showed, with `--out` replaced by `out`.
pub fn run_shown(cigan: &Cigan, command: &str, out: &str) {
    let program = env!("CARGO_BIN_EXE_cigan");
    let command = command
        .strip_prefix("cigan")
        .unwrap()
        .replace("--out out", &format!("--out {out}"))
        .replace("--out edited", &format!("--out {out}"))
        .replace("--out strip", &format!("--out {out}"));
    let status = Command::new("sh")
        .args(["-c", &format!("'{program}'{command} -q")])
        .current_dir(cigan.path(""))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}
