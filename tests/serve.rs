//! The page of `cigan serve`: over HTTP, with hostile requests, and in a browser.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::browser::Browser;
use common::program::Cigan;
use image::RgbImage;
use serde_json::{Value, json};

/// Trains a model through all stages and writes a photo; returns both paths.
fn trained(cigan: &Cigan) -> (String, String) {
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
struct Server {
    process: Child,
    /// host:port.
    host: String,
    _out: BufReader<ChildStdout>,
}

impl Server {
    fn start(model: &str, more: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cigan"))
            .args(["serve", "--port", "0", "--device", "cpu", "--model", model])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut url = String::new();
        out.read_line(&mut url).unwrap();
        let host = url.trim().strip_prefix("http://").expect("an address").trim_end_matches('/');
        Self { process, host: host.to_owned(), _out: out }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.host)
    }

    /// Sends a request and returns the connection, from which the reply can be read.
    fn send(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
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

    fn request(&self, head: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        Reply::read(self.send(head, headers, body))
    }

    fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), &[], b"")
    }

    /// Draws images, as the page `page`.
    fn draw(&self, page: &str, request: &Value) -> Reply {
        self.request(
            "POST /api/generate",
            &[("x-cigan-page", page)],
            request.to_string().as_bytes(),
        )
    }

    fn edit(&self, request: &Value, picture: &[u8]) -> Reply {
        let (kind, body) = form(request, Some(picture));
        self.request("POST /api/edit", &[("x-cigan-page", "e"), ("Content-Type", &kind)], &body)
    }

    #[cfg(unix)]
    fn interrupt(&mut self) -> Option<i32> {
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
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn read(mut stream: TcpStream) -> Self {
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

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The events: one JSON value per line.
    fn lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text());
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last event, which must be `done`.
    fn done(&self) -> Value {
        let last = self.lines().pop().unwrap();
        assert_eq!(last["event"], "done", "{last}");
        last
    }

    #[track_caller]
    fn refused(&self, status: u16, expected: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        let answer: Value = serde_json::from_slice(&self.body).unwrap();
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(expected), "`{expected}` is not in `{message}`");
        let hint = answer["hint"].as_str().unwrap_or_default();
        assert!(!hint.is_empty(), "no hint: {message}");
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
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

/// The form of an edit: its content type and its bytes.
fn form(request: &Value, picture: Option<&[u8]>) -> (String, Vec<u8>) {
    let field = |name: &str| {
        format!(
            "--b0rder\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n"
        )
    };
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

fn bytes(blob: &Value) -> Vec<u8> {
    STANDARD.decode(blob.as_str().unwrap()).unwrap()
}

fn pixels(png: &[u8]) -> RgbImage {
    image::load_from_memory(png).unwrap().into_rgb8()
}

fn draw() -> Value {
    json!({ "text": "a red bird", "seeds": "0-2,7", "strength": 0.4, "truncation": 0.6, "steps": 60 })
}

fn edit() -> Value {
    json!({ "name": "photo of a bird.png", "text": "a blue bird", "strength": 0.3, "preserve": 0.2,
        "steps": 40 })
}

/// Runs a command line that the page showed, with `--out` replaced by `out`.
fn run_shown(cigan: &Cigan, command: &str, out: &str) {
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

#[test]
fn the_page_does_what_the_commands_do() {
    let cigan = Cigan::new();
    let (model, photo) = trained(&cigan);
    let mut server = Server::start(&model, &[]);

    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<title>cigan</title>"));
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for file in ["/style.css", "/app.js", "/icon.svg"] {
        assert!(page.text().contains(file), "{file}");
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/serve/page");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
        let reply = server.get(&path);
        assert_eq!(reply.body, std::fs::read(format!("{folder}/{name}")).unwrap(), "{name}");
    }
    let about: Value = serde_json::from_slice(&server.get("/api/model").body).unwrap();
    assert_eq!(about["resolution"], 16);
    assert!(about["words"].as_array().unwrap().iter().any(|w| w == "red"));

    for (name, change) in [
        ("plain", json!({})),
        ("strip", json!({ "strip": true, "seeds": "3" })),
        ("near", json!({ "vary": { "of": "5", "by": 0.25 } })),
        ("quoted", json!({ "text": "it's a \"red\" bird; $(touch hacked)" })),
    ] {
        let mut request = draw();
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = server.draw("p", &request);
        let lines = reply.lines();
        assert_eq!(lines[0]["event"], "accepted");
        assert!(lines.iter().any(|line| line["event"] == "frame"), "{name}");
        let done = reply.done();
        run_shown(&cigan, lines[0]["command"].as_str().unwrap(), name);
        for (seed, picture) in
            lines[0]["seeds"].as_array().unwrap().iter().zip(done["pictures"].as_array().unwrap())
        {
            let file = cigan.path(&format!("{name}/seed{:0>4}.png", seed.as_str().unwrap()));
            assert_eq!(std::fs::read(&file).unwrap(), bytes(picture), "{file}");
        }
        let codes = std::fs::read(cigan.path(&format!("{name}/codes.safetensors"))).unwrap();
        assert_eq!(codes, bytes(&done["codes"]), "{name}");
    }
    assert!(!std::path::Path::new(&cigan.path("hacked")).exists());
    // A neighbour at distance 0 is the seed that is varied.
    let mut same = draw();
    same["vary"] = json!({ "of": "7", "by": 0.0 });
    let near = server.draw("p", &same).done();
    let plain = server.draw("p", &draw()).done();
    assert_eq!(pixels(&bytes(&near["pictures"][0])), pixels(&bytes(&plain["pictures"][3])));

    let picture = std::fs::read(&photo).unwrap();
    for (name, change) in [
        ("edited", json!({})),
        ("between", json!({ "text": null, "from": "a red bird", "to": "a blue bird" })),
        ("refined", json!({ "project": 3, "layers": [0, 1], "strip": true })),
    ] {
        let mut request = edit();
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let reply = server.edit(&request, &picture);
        let done = reply.done();
        let lines = reply.lines();
        assert!(lines.iter().any(|line| line["event"] == "inverted"), "{name}");
        run_shown(&cigan, lines[0]["command"].as_str().unwrap(), name);
        let file = cigan.path(&format!("{name}/photo of a bird-edited.png"));
        assert_eq!(
            pixels(&std::fs::read(file).unwrap()),
            pixels(&bytes(&done["pictures"][0])),
            "{name}"
        );
        let codes = std::fs::read(cigan.path(&format!("{name}/codes.safetensors"))).unwrap();
        assert_eq!(codes, bytes(&done["codes"]), "{name}");
    }

    // An image of the grid is edited from its own code.
    let drawn = server.draw("p", &draw()).done();
    run_shown(&cigan, server.draw("p", &draw()).lines()[0]["command"].as_str().unwrap(), "out");
    let codes = cigan::tensorfile::TensorFile::read(cigan.path("out/codes.safetensors")).unwrap();
    let row: Vec<f32> = codes.tensor("w").unwrap().to_f32()[16..32].to_vec();
    let mut request = edit();
    request["code"] = json!({ "row": 1, "values": row });
    let (kind, body) = form(&request, None);
    let headers = [("x-cigan-page", "e"), ("Content-Type", kind.as_str())];
    let reply = server.request("POST /api/edit", &headers, &body);
    let (lines, done) = (reply.lines(), reply.done());
    let inverted = lines.iter().find(|line| line["event"] == "inverted").unwrap();
    assert_eq!(pixels(&bytes(&inverted["inversion"])), pixels(&bytes(&drawn["pictures"][1])));
    run_shown(&cigan, lines[0]["command"].as_str().unwrap(), "from-code");
    let file = std::fs::read(cigan.path("from-code/code0001-edited.png")).unwrap();
    assert_eq!(file, bytes(&done["pictures"][0]));

    #[cfg(unix)]
    assert_eq!(server.interrupt(), Some(130));
}

/// The header of a PNG of `side` × `side` pixels with eight bytes each; the server checks no more.
fn deep_png(side: u32) -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    let pixel = image::ImageBuffer::<image::Rgba<u16>, _>::new(1, 1);
    image::DynamicImage::from(pixel).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let mut png = png.into_inner();
    let (kind, size) = (12, 16);
    for at in [size, size + 4] {
        png[at..at + 4].copy_from_slice(&side.to_be_bytes());
    }
    let check = png[kind..kind + 17].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    });
    png[kind + 17..kind + 21].copy_from_slice(&(!check).to_be_bytes());
    png
}

#[test]
fn hostile_requests_are_refused_and_nothing_breaks() {
    let cigan = Cigan::new();
    let (model, photo) = trained(&cigan);
    let server = Server::start(&model, &[]);
    let picture = std::fs::read(&photo).unwrap();
    let page = ("x-cigan-page", "p");
    let body = draw().to_string();

    // Requests of other pages and to other host names.
    let generate =
        |headers: &[(&str, &str)]| server.request("POST /api/generate", headers, body.as_bytes());
    generate(&[]).refused(403, "x-cigan-page");
    generate(&[page, ("Host", "evil.example")]).refused(403, "Host");
    generate(&[page, ("Origin", "http://evil.example")]).refused(403, "Origin");
    generate(&[page, ("Sec-Fetch-Site", "cross-site")]).refused(403, "another page");
    server.request("GET /api/model", &[("Host", "evil.example")], b"").refused(403, "Host");

    // Unknown paths and methods.
    server.get("/../../etc/passwd").refused(404, "not found");
    server.get("/api/generate").refused(405, "not allowed");
    server.request("DELETE /", &[page], b"").refused(405, "not allowed");

    // Invalid fields and values.
    for (change, expected) in [
        (json!({ "text": "" }), "empty"),
        (json!({ "text": "qqqq zzzz" }), "no word of the prompt"),
        (json!({ "text": 3 }), "invalid request"),
        (json!({ "seeds": "x" }), "not a whole number"),
        (json!({ "vary": { "of": "-1", "by": 0.2 } }), "--vary"),
        (json!({ "text": "red ".repeat(2000) }), "longer than"),
        (json!({ "seeds": "0-99999" }), "--seeds"),
        (json!({ "strength": 1.5 }), "--strength"),
        (json!({ "strength": -0.1 }), "--strength"),
        (json!({ "truncation": null }), "invalid request"),
        (json!({ "steps": 1000000 }), "--steps"),
        (json!({ "vary": { "of": "1", "by": 2 } }), "--vary-by"),
        (json!({ "out": "/etc" }), "invalid request"),
    ] {
        let mut request = draw();
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        server.draw("p", &request).refused(400, expected);
    }
    server.request("POST /api/generate", &[page], b"{").refused(400, "invalid request");
    server.request("POST /api/generate", &[page], &[0xff; 300]).refused(400, "invalid request");
    server.request("POST /api/generate", &[page], &vec![b' '; 300 << 10]).refused(413, "");
    let lost = [page, ("Content-Type", "multipart/form-data; boundary=b0rder")];
    for body in ["", "--b0rder", "--b0rder--\r\n", "--other\r\n\r\n"] {
        server.request("POST /api/edit", &lost, body.as_bytes()).refused(400, "");
    }
    let (kind, body) = form(&json!({ "name": " ".repeat(300 << 10) }), None);
    server.request("POST /api/edit", &[page, ("Content-Type", &kind)], &body).refused(413, "ask");

    // Files that are not images, and images that are too large.
    let mut bomb = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(9000, 8000).write_to(&mut bomb, image::ImageFormat::Png).unwrap();
    let bomb = bomb.into_inner();
    for (file, expected) in [
        (b"".to_vec(), "empty"),
        (b"<html>no</html>".to_vec(), "web page"),
        (picture[..picture.len() / 2].to_vec(), "photo of a bird.png"),
        (bomb, "too large"),
        (deep_png(7000), "too large"),
    ] {
        server.edit(&edit(), &file).refused(400, expected);
    }
    let mut path = edit();
    path["name"] = json!("/etc/passwd");
    let shown = server.edit(&path, &picture).lines();
    assert!(shown[0]["command"].as_str().unwrap().contains("--image passwd"), "{}", shown[0]);
    let mut both = edit();
    both["from"] = json!("a red bird");
    server.edit(&both, &picture).refused(400, "--from and --to");
    let mut code = edit();
    code["code"] = json!({ "row": 0, "values": [1.0, 2.0] });
    server.edit(&code, &picture).refused(400, "either an image or the code");
    let (kind, body) = form(&code, None);
    server
        .request("POST /api/edit", &[page, ("Content-Type", &kind)], &body)
        .refused(400, "code has 2");
    let (kind, body) = form(&edit(), None);
    server
        .request("POST /api/edit", &[page, ("Content-Type", &kind)], &body)
        .refused(400, "an image");
    let (kind, _) = form(&edit(), Some(&picture));
    let form_of =
        |body: &[u8]| server.request("POST /api/edit", &[page, ("Content-Type", &kind)], body);
    assert_eq!(form_of(b"--b0rder--\r\n").status, 400);
    assert_eq!(form_of(b"nonsense").status, 400);
    server.request("POST /api/edit", &[page], b"{}").refused(400, "");
    // The server answers before it has read everything, and may close while we still write.
    let huge = vec![0; 40 << 20];
    let (kind, body) = form(&edit(), Some(&huge));
    let headers = [page, ("Content-Type", kind.as_str())];
    let mut stream = server.send("POST /api/edit", &headers, &body);
    let mut head = [0; 12];
    if stream.read_exact(&mut head).is_ok() {
        assert_eq!(&head, b"HTTP/1.1 413");
    }

    // A hundred requests at once, each from another page: each is answered or told to try again.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|i| {
                let server = &server;
                scope.spawn(move || {
                    let reply = server.draw(&format!("p{i}"), &draw());
                    if reply.status == 200 {
                        reply.done();
                    }
                    reply.status
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 5, "{statuses:?}");

    // A new request of a page cancels its old one.
    let mut long = edit();
    long["project"] = json!(2000);
    let (kind, body) = form(&long, Some(&picture));
    let begin = |name: &str| {
        let headers = [("x-cigan-page", name), ("Content-Type", kind.as_str())];
        server.send("POST /api/edit", &headers, &body)
    };
    let began = Instant::now();
    let old = begin("p");
    std::thread::sleep(Duration::from_millis(200));
    server.draw("p", &draw()).done();
    let ended = Reply::read(old).lines();
    assert!(ended.iter().all(|line| line["event"] != "done"), "the old request is cancelled");
    // A page that closes its connection cancels its request as well.
    let gone = begin("q");
    std::thread::sleep(Duration::from_millis(200));
    drop(gone);
    server.draw("p", &draw()).done();
    let cancelled = began.elapsed();
    let began = Instant::now();
    Reply::read(begin("p")).done();
    assert!(cancelled < began.elapsed(), "{cancelled:?} for a new request with two cancelled ones");

    // The port is in use.
    let port = server.host.rsplit(':').next().unwrap();
    cigan.run(&["serve", "--model", &model, "--port", port]).fails(1).says("--port").hints();
    cigan
        .run(&["serve", "--model", &model, "--host", "192.0.2.1", "--port", "0"])
        .fails(1)
        .says("--host");
    cigan.run(&["serve", "--model", &photo]).fails(1).hints();
}

/// Half-sent requests, idle connections and slow uploads take nothing from the page for long.
#[test]
fn slow_and_half_sent_requests_do_not_block_the_page() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    common::models::ci_gan(16).file().write(&model).unwrap();
    let server = Server::start(&model, &[]);
    let open = |text: &str| {
        let mut stream = TcpStream::connect(&server.host).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n", server.host);
    let post = |path: &str, kind: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nx-cigan-page: p\r\nContent-Type: {kind}\r\n\
             Content-Length: 100000\r\n\r\n",
            server.host
        )
    };
    // More than there may be connections: heads without an end, and nothing at all.
    let mut held: Vec<TcpStream> =
        (0..300).map(|i| open(if i % 2 == 0 { &head } else { "" })).collect();
    // Uploads that stop after their head, more than are received at once.
    let upload = post("/api/edit", "multipart/form-data; boundary=x") + "--x\r\n";
    held.extend((0..20).map(|_| open(&upload)));
    let text = post("/api/generate", "application/json");
    let slow = open(&text);
    let began = Instant::now();
    assert_eq!(server.get("/").status, 200);
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(20), "the page took {waited:?}");
    // An edit has its turn once the slow uploads have lost theirs.
    let mut picture = std::io::Cursor::new(Vec::new());
    RgbImage::new(16, 16).write_to(&mut picture, image::ImageFormat::Png).unwrap();
    let reply = server.edit(&edit(), picture.get_ref());
    assert_ne!(reply.status, 503, "{}", reply.text());
    let reply = Reply::read(slow);
    reply.refused(408, "took too long");
    // The server closed the connections that sent half a head.
    let mut first = held.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    let _ = first.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    // A tunnel from another port is named.
    let reply = server.request("GET /", &[("Host", "localhost:9")], b"");
    reply.refused(403, "port 9");
    assert!(reply.text().contains("ssh -L"), "{}", reply.text());
}

/// JavaScript helpers of the tests: `$(id)`, whether the page is idle, and its images and layout.
const HELPERS: &str = r#"
    window.$ = (id) => document.getElementById(id);
    window.idle = () => $('go').textContent === 'Generate' && $('edit-go').textContent === 'Edit';
    window.drawn = (n) => idle() && !$('save-codes').disabled
        && document.querySelectorAll('#grid img[src^=\'data:image/png\']').length === n;
    window.edited = () => idle() && !$('edit-codes').disabled;
    window.pictures = () => Array.from(document.querySelectorAll('#grid img'), (i) => i.src).join();
    window.places = () => JSON.stringify(
        Array.from(document.querySelectorAll('#grid button, #editing, #selected, .panel'), (e) => {
            const r = e.getBoundingClientRect();
            return [r.x, r.y + scrollY, r.width, r.height];
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
"#;

fn text_of(browser: &mut Browser, id: &str) -> String {
    let text = browser.value(&format!("document.getElementById('{id}').textContent"));
    text.as_str().unwrap().to_owned()
}

fn set(browser: &mut Browser, id: &str, value: &str) {
    browser.value(&format!("$('{id}').value = '{value}'"));
}

fn click(browser: &mut Browser, id: &str) {
    browser.value(&format!("$('{id}').click()"));
}

#[test]
fn in_a_browser() {
    let Some(mut browser) = Browser::start() else { return };
    let cigan = Cigan::new();
    let (model, photo) = trained(&cigan);
    let server = Server::start(&model, &[]);
    browser.open(&server.url());
    browser.until("document.body?.dataset.ready === 'yes'");
    browser.value(HELPERS);
    drawing(&mut browser);
    the_strip_has_its_own_command(&mut browser, &cigan);
    editing(&mut browser, &photo);
    the_layout_is_stable(&mut browser);
    refusals_change_nothing(&mut browser);
    stopped_requests_restore_the_last_result(&mut browser, &cigan, &photo);

    // A reload restores the form, including text that was typed but not submitted.
    browser.value("$('text').focus(); $('text').select()");
    browser.type_text("a green bird");
    browser.call("Page.reload", json!({}));
    std::thread::sleep(Duration::from_millis(300));
    browser.until("document.body?.dataset.ready === 'yes'");
    browser.value(HELPERS);
    assert_eq!(browser.value("$('text').value"), "a green bird");
    set(&mut browser, "seeds", "0-3");
    set(&mut browser, "strength", "0.3");
    click(&mut browser, "go");
    browser.until("drawn(4)");

    // The browser logs refusals of the server; it must log nothing else.
    let unexpected: Vec<_> = browser.complaints.iter().filter(|c| !c.contains("400")).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

/// Draws with the keyboard only; the layout stays the same.
fn drawing(browser: &mut Browser) {
    assert_eq!(browser.value("document.querySelectorAll('#grid button').length"), 16);
    assert_eq!(browser.value("$('command').nextElementSibling.disabled"), true);
    click(browser, "edit-go");
    browser.until("$('edit-status').textContent.includes('no image')");
    let before = browser.value("places()");
    assert_eq!(browser.value("document.activeElement.id"), "text");
    browser.type_text("a red bird");
    browser.press("Enter");
    browser.until("drawn(16)");
    assert_eq!(browser.value("places()"), before, "the layout has changed");
    browser.until(
        "Array.from(document.querySelectorAll('#grid img')).every((i) => i.naturalWidth === 16)",
    );
    let command = text_of(browser, "command");
    assert!(command.contains("--text 'a red bird' --seeds 0-15"), "{command}");

    // Move from the prompt to the images; letters are shortcuts once the prompt has lost the focus.
    browser.press("ArrowDown");
    browser.until("document.activeElement.title === 'seed 0'");
    browser.press("ArrowRight");
    browser.press("ArrowRight");
    browser.until("document.activeElement.title === 'seed 2' && $('large').naturalWidth === 16");
    assert_eq!(browser.value("places()"), before, "the layout has changed");
    browser.press("/");
    browser.until("document.activeElement.id === 'text'");
    browser.press("Escape");
    browser.until("document.activeElement === document.body");
}

/// A strip has a second command line: that of the grid stays, and both reproduce their images.
fn the_strip_has_its_own_command(browser: &mut Browser, cigan: &Cigan) {
    let grid = text_of(browser, "command");
    browser.press("t");
    browser.until("document.querySelectorAll('#strip img').length === 5");
    let strip = text_of(browser, "strip-command");
    assert!(strip.contains("--seeds 2 ") && strip.contains("--strip"), "{strip}");
    assert_eq!(text_of(browser, "command"), grid);
    // Another image has no strip; that of this image is kept.
    browser.press("ArrowRight");
    browser.until("document.querySelectorAll('#strip img').length === 0");
    assert_eq!(text_of(browser, "strip-command"), "");
    browser.press("ArrowLeft");
    browser.until("document.querySelectorAll('#strip img').length === 5");

    // Edit the image, then run the command lines of the page one after the other.
    browser.press("e");
    browser.until("document.activeElement.id === 'edit-text'");
    browser.type_text("a blue bird");
    browser.press("Enter");
    browser.until("edited()");
    run_shown(cigan, &text_of(browser, "command"), "out");
    run_shown(cigan, &text_of(browser, "edit-command"), "edited");
    let shown = browser.value("$('t-edit').src");
    let shown = shown.as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
    let file = std::fs::read(cigan.path("edited/code0002-edited.png")).unwrap();
    assert_eq!(file, STANDARD.decode(shown).unwrap());

    // Neighbours of a seed, independent seeds, random seeds.
    browser.press("Escape");
    browser.press("v");
    browser.until("drawn(16) && $('about-selected').textContent.includes('near 2, distance')");
    assert_eq!(browser.value("$('do-vary').disabled"), true);
    assert!(text_of(browser, "command").contains("--vary 2 "), "{grid}");
    click(browser, "vary-off");
    browser.until("drawn(16) && !$('about-selected').textContent.includes('near')");
    browser.press("r");
    browser.until("drawn(16) && document.querySelector('#grid button').title !== 'seed 0'");
}

/// Edits an uploaded photo and compares it with the original.
fn editing(browser: &mut Browser, photo: &str) {
    browser.choose("#file", photo);
    browser.until("$('drop-text').textContent === 'photo of a bird.png'");
    assert_eq!(text_of(browser, "edit-command"), "cigan edit …", "there is no edit yet");
    assert_eq!(browser.value("$('edit-save').disabled"), true);
    assert_eq!(browser.value("$('t-edit').naturalWidth"), 1, "the placeholder is shown");
    browser.value("document.querySelector('input[value=between]').click()");
    set(browser, "edit-from", "a red bird");
    set(browser, "edit-to", "a blue bird");
    click(browser, "do-edit-strip");
    browser.until("edited() && document.querySelectorAll('#edit-strip img').length === 5");
    for image in ["t-original", "t-inversion", "t-edit", "under", "over"] {
        browser.until(&format!("$('{image}').naturalWidth === 16"));
    }
    let command = text_of(browser, "edit-command");
    assert!(command.contains("--image 'photo of a bird.png' --from"), "{command}");
}

/// Long messages and other kinds of edits do not move anything.
fn the_layout_is_stable(browser: &mut Browser) {
    let before = browser.value("places()");
    browser.value("$('status').textContent = 'word '.repeat(300)");
    assert_eq!(browser.value("places()"), before, "a long message");
    browser.value("document.querySelector('input[value=text]').click()");
    assert_eq!(browser.value("places()"), before, "another kind of edit");
    browser.value("document.querySelector('input[value=between]').click()");
}

/// A refused request shows a message in its panel and changes nothing else.
fn refusals_change_nothing(browser: &mut Browser) {
    let [grid, edit] = ["command", "edit-command"].map(|id| text_of(browser, id));
    set(browser, "edit-to", "qqqq");
    click(browser, "edit-go");
    browser.until("$('edit-status').classList.contains('bad')");
    assert_eq!(browser.value("edited()"), true);
    assert_eq!(browser.value("document.querySelectorAll('#edit-strip img').length"), 5);
    assert_eq!(text_of(browser, "edit-command"), edit);
    set(browser, "edit-to", "a blue bird");

    set(browser, "text", "qqqq");
    click(browser, "go");
    browser.until("$('status').classList.contains('bad')");
    let message = text_of(browser, "status");
    assert!(message.contains("no word of the prompt") && message.contains("qqqq"), "{message}");
    set(browser, "text", "a red bird");
    set(browser, "seeds", "O-15");
    click(browser, "go");
    browser.until("$('status').textContent.includes('whole number')");
    assert_eq!(browser.value("drawn(16)"), true);
    assert_eq!(text_of(browser, "command"), grid);
}

/// After a stopped request, the last finished result is shown again with its command line.
fn stopped_requests_restore_the_last_result(browser: &mut Browser, cigan: &Cigan, photo: &str) {
    let before = ["pictures()", "$('command').textContent", "$('about-selected').textContent"];
    let kept = before.map(|seen| browser.value(seen));
    browser.value("upTo = 'accepted'");
    set(browser, "text", "a green bird");
    set(browser, "seeds", "0-63");
    click(browser, "go");
    browser.until("$('status').textContent === 'starting'");
    assert_eq!(before.map(|seen| browser.value(seen)), kept, "a waiting request changes nothing");
    browser.press("Escape");
    browser.until("idle()");
    browser.value("upTo = 'frame'");
    click(browser, "go");
    browser.until("/step/.test($('status').textContent)");
    browser.until("document.querySelectorAll('#grid button').length === 64");
    assert_eq!(browser.value("$('save-grid').disabled"), true, "a preview cannot be saved");
    browser.press("Escape");
    browser.until("idle() && $('status').textContent === 'stopped'");
    assert_eq!(before.map(|seen| browser.value(seen)), kept);
    assert_eq!(browser.value("drawn(16)"), true);

    let before = ["$('t-edit').src", "$('edit-command').textContent"];
    let kept = before.map(|seen| browser.value(seen));
    browser.value("upTo = 'refining'");
    set(browser, "project", "300");
    click(browser, "edit-go");
    browser.until("/refining/.test($('edit-status').textContent)");
    browser.press("Escape");
    browser.until("idle()");
    assert_eq!(before.map(|seen| browser.value(seen)), kept);
    assert_eq!(browser.value("edited()"), true);

    // A new image that arrives during an edit does not get the edit of the old one.
    let other = cigan.path("other.png");
    std::fs::copy(photo, &other).unwrap();
    click(browser, "edit-go");
    browser.until("/refining/.test($('edit-status').textContent)");
    browser.choose("#file", &other);
    browser.until("idle() && $('drop-text').textContent === 'other.png'");
    assert_eq!(browser.value("$('edit-codes').disabled && $('t-edit').naturalWidth === 1"), true);
    assert_eq!(text_of(browser, "edit-command"), "cigan edit …");
    browser.value("upTo = null");
}
