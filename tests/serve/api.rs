//! The page does what the commands do.

use std::collections::BTreeSet;

use cigan::systems::requests::REFINEMENT;
use serde_json::{Value, json};

use crate::common::models;
use crate::common::program::Cigan;
use crate::server::{Reply, Server, bytes, draw, edit, form, pixels, run_shown, trained};

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
        let path = match &*name {
            "index.html" => "/".to_owned(),
            "api.html" => "/api".to_owned(),
            "openapi.json" => "/api/openapi.json".to_owned(),
            _ => format!("/{name}"),
        };
        let reply = server.get(&path);
        assert_eq!(reply.body, std::fs::read(format!("{folder}/{name}")).unwrap(), "{name}");
    }
    let about: Value = serde_json::from_slice(&server.get("/api/model").body).unwrap();
    assert_eq!(about["resolution"], 16);
    assert!(about["words"].as_array().unwrap().iter().any(|w| w == "red"));
    assert!(about["examples"].as_array().unwrap().len() > 1, "{about}");
    let [first, last] = ["/bands/0/layers/0", "/bands/2/layers/1"].map(|at| about.pointer(at));
    assert_eq!((first, last), (Some(&json!(0)), Some(&json!(5))), "{about}");

    for (name, change) in [
        ("plain", json!({})),
        ("strip", json!({ "strip": true, "seeds": "3" })),
        ("best", json!({ "seeds": "0-2", "candidates": 7 })),
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
        let seeds = done["seeds"].as_array().unwrap();
        if name == "best" {
            assert_eq!((seeds.len(), &lines[0]["seeds"]), (3, &json!([])));
        } else {
            assert_eq!(&done["seeds"], &lines[0]["seeds"], "{name}");
        }
        for (seed, picture) in seeds.iter().zip(done["pictures"].as_array().unwrap()) {
            let file = cigan.path(&format!("{name}/seed{:0>4}.png", seed.as_str().unwrap()));
            assert_eq!(std::fs::read(&file).unwrap(), bytes(picture), "{file}");
        }
        let codes = std::fs::read(cigan.path(&format!("{name}/codes.safetensors"))).unwrap();
        assert_eq!(codes, bytes(&done["codes"]), "{name}");
    }
    assert!(!std::path::Path::new(&cigan.path("hacked")).exists());
    // A damaged file is named, before and with the edit, as `edit` does.
    let damaged = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/pictures/restarts.jpg");
    let damaged = [&std::fs::read(damaged).unwrap()[..900], &[0xff, 0xd9]].concat();
    let look: Value = serde_json::from_slice(&server.look(&damaged).body).unwrap();
    assert!(look["warning"].as_str().unwrap().contains("its data is damaged"), "{look}");
    let sound: Value =
        serde_json::from_slice(&server.look(&std::fs::read(&photo).unwrap()).body).unwrap();
    assert_eq!(sound["warning"], Value::Null, "{sound}");
    let mut request = edit();
    request["text"] = json!("a red qwerty");
    let accepted = server.edit(&request, &damaged).lines()[0]["warning"].clone();
    let accepted = accepted.as_str().unwrap();
    assert!(accepted.contains("damaged") && accepted.contains("qwerty"), "{accepted}");
    // A neighbour at distance 0 is the seed that is varied.
    let mut same = draw();
    same["vary"] = json!({ "of": "7", "by": 0.0 });
    let near = server.draw("p", &same).done();
    let plain = server.draw("p", &draw()).done();
    assert_eq!(pixels(&bytes(&near["pictures"][0])), pixels(&bytes(&plain["pictures"][3])));

    // The upload as the model sees it.
    let picture = std::fs::read(&photo).unwrap();
    let look = server.look(&picture);
    assert_eq!(look.status, 200, "{}", look.text());
    let look: Value = serde_json::from_slice(&look.body).unwrap();
    let seen = server.edit(&edit(), &picture).lines();
    let seen = seen.iter().find(|line| line["event"] == "inverted").unwrap();
    assert_eq!(pixels(&bytes(&look["picture"])), pixels(&bytes(&seen["original"])));

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
        let steps = if name == "refined" { 3 } else { REFINEMENT };
        let command = lines[0]["command"].as_str().unwrap();
        assert!(command.contains(&format!("--project {steps}")), "{command}");
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
    assert!(!lines[0]["command"].as_str().unwrap().contains("--project"), "a code is exact");
    assert_eq!(pixels(&bytes(&inverted["inversion"])), pixels(&bytes(&drawn["pictures"][1])));
    run_shown(&cigan, lines[0]["command"].as_str().unwrap(), "from-code");
    let file = std::fs::read(cigan.path("from-code/code0001-edited.png")).unwrap();
    assert_eq!(file, bytes(&done["pictures"][0]));

    #[cfg(unix)]
    assert_eq!(server.interrupt(), Some(130));
}

/// The names of the fields that a schema lists.
fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The fields that the server names when it refuses an unknown one.
fn expected(reply: &Reply) -> BTreeSet<String> {
    assert_eq!(reply.status, 400, "{}", reply.text());
    let text = reply.text();
    let list = text.split("expected ").nth(1).unwrap_or_else(|| panic!("{text}"));
    let quoted = list.split('`').skip(1).step_by(2);
    // The hint that follows names an address.
    quoted.filter(|word| !word.starts_with('/')).map(str::to_owned).collect()
}

#[test]
fn the_description_of_the_api_is_right() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    models::ci_gan(16).file().write(&model).unwrap();
    let server = Server::start(&model, &[]);
    let api: Value = serde_json::from_slice(&server.get("/api/openapi.json").body).unwrap();
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    let schema = |name: &str| &api["components"]["schemas"][name];
    let post = |path: &str, body: &Value| {
        let headers = [("x-cigan-page", "api"), ("Content-Type", "application/json")];
        server.request(&format!("POST {path}"), &headers, body.to_string().as_bytes())
    };

    // The examples work, and every path is described.
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    for (path, methods) in api["paths"].as_object().unwrap() {
        paths.insert(path);
        let status = if methods.get("get").is_some() { 200 } else { 405 };
        assert_eq!(server.get(path).status, status, "{path}");
        if methods.get("post").is_none() {
            assert_eq!(post(path, &json!({})).status, 405, "{path}");
            continue;
        }
        let content = &methods["post"]["requestBody"]["content"]["application/json"];
        if let Some(example) = content.get("example") {
            post(path, example).done();
        }
    }
    let all =
        ["directions", "edit", "generate", "look", "model", "models", "render", "run", "texts"];
    assert_eq!(paths, all.iter().map(|path| &*format!("/api/{path}").leak()).collect());

    // The fields are those that the server knows.
    let about: Value = serde_json::from_slice(&server.get("/api/model").body).unwrap();
    let keys: BTreeSet<String> = about.as_object().unwrap().keys().cloned().collect();
    assert_eq!(properties(schema("Model")), keys);
    for (path, name) in [
        ("generate", "Generate"),
        ("directions", "Directions"),
        ("texts", "Texts"),
        ("render", "Render"),
        ("model", "Open"),
    ] {
        let reply = post(&format!("/api/{path}"), &json!({ "unknown": 1 }));
        assert_eq!(properties(schema(name)), expected(&reply), "{name}");
    }
    let (kind, body) = form(&json!({ "unknown": 1 }), None);
    let headers = [("x-cigan-page", "api"), ("Content-Type", kind.as_str())];
    let reply = server.request("POST /api/edit", &headers, &body);
    assert_eq!(properties(schema("Edit")), expected(&reply));
    let film = json!({ "codes": [], "film": { "unknown": 1 } });
    let described = &schema("Render")["properties"]["film"]["anyOf"][0];
    assert_eq!(properties(described), expected(&post("/api/render", &film)));

    // Codes of texts and directions have the size of codes, and render.
    let texts = post("/api/texts", &json!({ "texts": ["a red bird", "a yellow bird"] })).done();
    let directions = post("/api/directions", &json!({ "count": 3 })).done();
    let shares = directions["shares"].as_array().unwrap();
    assert!(shares.len() == 3 && shares[0].as_f64() >= shares[1].as_f64(), "{shares:?}");
    let again = post("/api/directions", &json!({ "count": 3 })).done();
    assert_eq!(directions["vectors"], again["vectors"]);
    for vectors in [&texts["vectors"], &directions["vectors"]] {
        let done = post("/api/render", &json!({ "codes": vectors })).done();
        assert_eq!(done["pictures"].as_array().unwrap().len(), vectors.as_array().unwrap().len());
        let png = pixels(&bytes(&done["pictures"][0]));
        assert_eq!(png.dimensions(), (16, 16));
    }
    // Two texts have different codes, and so have different pictures.
    let done = post("/api/render", &json!({ "codes": texts["vectors"] })).done();
    assert_ne!(done["pictures"][0], done["pictures"][1]);

    // Values out of range are refused.
    let code = vec![0.0; 8];
    for (path, body, message) in [
        ("model", json!({ "open": 1 }), "open 1"),
        ("directions", json!({ "count": 0 }), "count 0"),
        ("directions", json!({ "count": 1000 }), "count 1000"),
        ("texts", json!({ "texts": [] }), "number of texts 0"),
        ("texts", json!({ "texts": ["qqqq"] }), "no word of the prompt"),
        ("texts", json!({ "texts": vec!["a red bird"; 99] }), "number of texts 99"),
        ("render", json!({ "codes": [] }), "number of codes 0"),
        ("render", json!({ "codes": vec![code.clone(); 65] }), "number of codes 65"),
        ("render", json!({ "codes": [[1.0]] }), "code has 1 numbers"),
        ("render", json!({ "codes": [code, vec![0.0; 48]] }), "code has 48 numbers"),
        ("render", json!({ "codes": [[1e39, 0, 0, 0, 0, 0, 0, 0]] }), "number"),
        ("render", json!({ "codes": [code], "film": film_of(9, 1) }), "codes of an animation 1"),
        ("render", json!({ "codes": [code, code], "film": film_of(1000, 1) }), "each 1000"),
        ("render", json!({ "codes": [code, code], "film": film_of(9, 1000) }), "enlarge 1000"),
        ("render", json!({ "codes": [code, code], "film": film_of(9, 0) }), "enlarge 0"),
    ] {
        post(&format!("/api/{path}"), &body).refused(400, message);
    }
}

fn film_of(each: usize, enlarge: usize) -> Value {
    json!({ "each": each, "format": "gif", "enlarge": enlarge })
}

#[test]
fn a_folder_of_models_is_served() {
    let cigan = Cigan::new();
    let folder = cigan.path("models");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, resolution| {
        models::ci_gan(resolution).file().write(format!("{folder}/{name}.safetensors")).unwrap();
    };
    write("b-16", 16);
    write("c-32", 32);
    // Models that cannot be opened, or do not generate from text, are named and left out.
    std::fs::write(format!("{folder}/a-damaged.safetensors"), "nothing").unwrap();
    models::stylegan(16).file().write(format!("{folder}/d-plain.safetensors")).unwrap();
    let mut newer = models::ci_gan(16).into_file();
    newer.metadata.insert("cigan.model".to_owned(), "99".to_owned());
    newer.write(format!("{folder}/e-newer.safetensors")).unwrap();
    let mut flipped = models::ci_gan(16).into_file().sealed().to_bytes().unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(format!("{folder}/f-flipped.safetensors"), flipped).unwrap();
    std::fs::write(format!("{folder}/notes.txt"), "not a model").unwrap();
    let messages = cigan.path("messages.txt");
    let server = Server::start_with(&folder, &[], std::fs::File::create(&messages).unwrap().into());
    let messages = std::fs::read_to_string(&messages).unwrap();
    for (name, reason) in [
        ("a-damaged.safetensors", "not a safetensors file"),
        ("e-newer.safetensors", "newer version"),
        ("f-flipped.safetensors", "checksum"),
    ] {
        let said = messages.lines().find(|line| line.contains(name));
        let said = said.unwrap_or_else(|| panic!("{name} is not in {messages}"));
        assert!(said.starts_with("warning: not served: ") && said.contains(reason), "{said}");
    }
    assert!(messages.contains("prompts: d-plain.safetensors"), "{messages}");
    assert_eq!(messages.matches("warning:").count(), 3, "{messages}");
    let list = |server: &Server| -> Value {
        serde_json::from_slice(&server.get("/api/models").body).unwrap()
    };
    let about = |server: &Server| -> Value {
        serde_json::from_slice(&server.get("/api/model").body).unwrap()
    };
    let found = list(&server);
    let names: Vec<&str> =
        found["models"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    assert!(names.len() == 2 && names[1].ends_with("c-32.safetensors"), "{names:?}");
    assert_eq!(found["open"], 0);
    let first = about(&server);
    assert_eq!(first["resolution"], 16);

    let open = |index: usize| {
        let body = json!({ "open": index }).to_string();
        server.request("POST /api/model", &[("x-cigan-page", "o")], body.as_bytes())
    };
    open(1).done();
    assert_eq!((&about(&server)["resolution"], &list(&server)["open"]), (&json!(32), &json!(1)));
    let drawn = server.draw("p", &draw());
    assert_eq!(pixels(&bytes(&drawn.done()["pictures"][0])).dimensions(), (32, 32));
    let command = &drawn.lines()[0]["command"];
    assert!(command.as_str().unwrap().contains("c-32.safetensors"), "{command}");
    // A page that shows the other model is told to reload.
    let stale = [("x-cigan-page", "p"), ("x-cigan-model", first["hash"].as_str().unwrap())];
    let body = draw().to_string();
    server.request("POST /api/generate", &stale, body.as_bytes()).refused(409, "another model");
    // A model that does not open leaves the present one.
    let kept = std::fs::read(format!("{folder}/b-16.safetensors")).unwrap();
    std::fs::write(format!("{folder}/b-16.safetensors"), "nothing").unwrap();
    let last = open(0).lines().pop().unwrap();
    assert_eq!(last["event"], "error", "{last}");
    assert_eq!(about(&server)["resolution"], 32);
    std::fs::write(format!("{folder}/b-16.safetensors"), kept).unwrap();
    open(0).done();
    assert_eq!(about(&server)["hash"], first["hash"]);

    // If no model can be opened, each is named.
    let broken = cigan.path("broken");
    std::fs::create_dir(&broken).unwrap();
    for name in ["one", "two"] {
        std::fs::write(format!("{broken}/{name}.safetensors"), "nothing").unwrap();
    }
    let refused = cigan.run(&["serve", "--model", &broken, "--port", "0"]).fails(1).hints();
    refused.says("one.safetensors").says("two.safetensors");

    // A folder without models is named.
    let empty = cigan.path("empty");
    std::fs::create_dir(&empty).unwrap();
    for model in [vec![&*empty], vec!["--model", &*empty]] {
        let args = [&["serve", "--port", "0"][..], &model].concat();
        cigan.run(&args).fails(1).says("empty").hints();
    }
    cigan.run(&["serve", &empty, "--model", &empty]).fails(2).says("--model");
}
