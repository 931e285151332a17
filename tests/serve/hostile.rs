//! Hostile, broken and slow requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use image::RgbImage;
use serde_json::json;

use crate::common::models;
use crate::common::program::Cigan;
use crate::server::{Reply, Server, draw, edit, form, trained};

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
        (json!({ "vary": { "of": "-1", "by": 0.2 } }), "seed to vary"),
        (json!({ "text": "red ".repeat(2000) }), "longer than"),
        (json!({ "seeds": "0-99999" }), "seeds: "),
        (json!({ "strength": 1.5 }), "strength 1.5"),
        (json!({ "strength": -0.1 }), "strength -0.1"),
        (json!({ "truncation": null }), "invalid request"),
        (json!({ "steps": 1000000 }), "steps 1000000"),
        (json!({ "vary": { "of": "1", "by": 2 } }), "distance (vary.by) 2"),
        (json!({ "candidates": 2 }), "candidates 2: fewer"),
        (json!({ "candidates": 100000 }), "candidates 100000"),
        (json!({ "candidates": -1 }), "invalid request"),
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
        let expected = expected.replace("photo of a bird.png", "the file");
        server.look(&file).refused(400, &expected);
    }
    let mut path = edit();
    path["name"] = json!("/etc/passwd");
    let shown = server.edit(&path, &picture).lines();
    assert!(shown[0]["command"].as_str().unwrap().contains("--image passwd"), "{}", shown[0]);
    let mut both = edit();
    both["from"] = json!("a red bird");
    server.edit(&both, &picture).refused(400, "from and to");
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
    let look = ("Content-Type", kind.as_str());
    server.request("POST /api/look", &[page, look], &body).refused(400, "the field `image`");
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
    models::ci_gan(16).file().write(&model).unwrap();
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
