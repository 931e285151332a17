//! The page with several models to choose from, and with models that lack an ability.

use serde_json::json;

use super::Page;
use crate::common::browser::Browser;
use crate::common::models;
use crate::common::program::Cigan;
use crate::server::{Server, trained};

/// A page with two models: birds16, which is open, and birds32, whose default strength differs.
fn with_two_models() -> Option<Page> {
    let cigan = Cigan::new();
    let folder = cigan.path("models");
    std::fs::create_dir(&folder).unwrap();
    for resolution in [16, 32] {
        let path = format!("{folder}/birds{resolution}.safetensors");
        let mut model = models::ci_gan(resolution);
        if resolution == 32 {
            model.set_text("strength", "0.37".into());
        }
        model.file().write(&path).unwrap();
    }
    Page::open_with(cigan, folder)
}

#[test]
fn the_page_switches_between_models() {
    let Some(mut page) = with_two_models() else { return };
    page.is("$('strength').value === '0.2'");
    page.set("truncation", "0.9");
    let names = page.value("Array.from($('models').options, (o) => o.textContent)");
    assert_eq!(names, json!(["birds16", "birds32"]));
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item').length === 1");
    page.value("$('models').value = '1'; $('models').dispatchEvent(new Event('change'))");
    page.until("document.title.includes('birds32') && document.body.dataset.ready === 'yes'");
    page.value(super::HELPERS);
    // What nobody changed is the new model's, even between two steps of the slider.
    page.is("$('strength').value === '0.37' && $('truncation').value === '0.9'");
    page.is("$('text').value === 'a red bird'");
    // The history belongs to the model, and the address no longer names the old settings.
    page.until("idle() && all('#grid > .cell img').every((i) => i.naturalWidth === 32)");
    page.is("all('.item').length === 0 && $('models').value === '1'");
    page.is("location.search === '?model=birds32.safetensors'");
    page.end();
}

/// The address names the model, so going back or reloading shows the pictures of the model that made
/// them, whatever the server has open meanwhile.
#[test]
fn an_address_opens_its_model() {
    let Some(mut page) = with_two_models() else { return };
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item').length === 1");
    page.is("location.search.includes('model=birds16.safetensors')");
    let red = page.value("pictures()");
    page.value("$('models').value = '1'; $('models').dispatchEvent(new Event('change'))");
    let shows = |page: &mut Page, name: &str| {
        page.until(&format!(
            "document.title === 'cigan – {name}' && document.body.dataset.ready === 'yes'"
        ));
        page.helped();
    };
    shows(&mut page, "birds32");
    page.value("history.back()");
    shows(&mut page, "birds16");
    page.until("drawn(4) && $('title').textContent === 'a red bird'");
    assert_eq!(page.value("pictures()"), red);
    page.is("$('models').value === '0' && all('.item').length === 1");

    // Another page has opened another model.
    let other = [("x-cigan-page", "other")];
    let opened = page.server.request("POST /api/model", &other, br#"{"open": 1}"#);
    assert_eq!(opened.status, 200, "{:?}", opened.body);
    page.reload();
    page.until("drawn(4) && $('title').textContent === 'a red bird'");
    assert_eq!(page.value("pictures()"), red);

    // Going back within the page notices it too.
    page.draw("a yellow bird", "0-1", 2);
    page.until("all('.item').length === 2");
    page.value(
        "history.replaceState(history.state, '', location.href.replace('birds16', 'birds32'))",
    );
    page.value("history.back()");
    page.until("drawn(4) && $('title').textContent === 'a red bird'");
    page.value("history.forward()");
    shows(&mut page, "birds32");
    page.until("$('text').value === 'a yellow bird'");

    // Of two choices that follow each other, the last one counts.
    page.value(
        "for (const i of ['0', '1']) { $('models').value = i; $('models').dispatchEvent(new Event('change')); }",
    );
    page.until("location.search === '?model=birds32.safetensors'");
    shows(&mut page, "birds32");

    // The page shows a model that is no longer open, and the user chooses another.
    let opened = page.server.request("POST /api/model", &other, br#"{"open": 0}"#);
    assert_eq!(opened.status, 200, "{:?}", opened.body);
    page.value("$('models').value = '0'; $('models').dispatchEvent(new Event('change'))");
    shows(&mut page, "birds16");

    // A model that is no longer there is named, and nothing is generated with another one.
    page.go("/?model=gone.safetensors&text=a+red+bird&seeds=0-1");
    page.until("$('status').textContent.includes('gone.safetensors')");
    page.is("$('status').classList.contains('bad') && $('text').value === 'a red bird'");
    page.is("all('#grid > .cell').length === 0 && location.search.includes('gone.safetensors')");
    page.click("go");
    page.until("all('#grid > .cell').length === 2 && location.search.includes('birds16')");
    page.end();
}

#[test]
fn the_page_hides_what_a_model_lacks() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    models::gan_int_cls(16).file().write(&model).unwrap();
    let Some(mut page) = Page::open_with(cigan, model) else { return };
    page.until("drawn(24)");
    let visible = |id: &str| format!("$('{id}').offsetParent !== null");
    for id in ["strength", "do-strip", "edit-fields", "tools", "drop", "edit-command"] {
        page.is(&format!("!({})", visible(id)));
    }
    for id in ["truncation", "save", "favourite", "do-vary", "no-edits"] {
        page.is(&visible(id));
    }
    page.draw("a red bird", "0-3", 4);
    page.is("$('no-edits').textContent.includes('cannot edit')");
    page.end();
}

/// A model that edits in one pass has a strength, and no settings of an optimisation.
#[test]
fn the_page_edits_without_optimisation() {
    let cigan = Cigan::new();
    let model = cigan.path("model.safetensors");
    models::clip2gan(16).file().write(&model).unwrap();
    let Some(mut page) = Page::open_with(cigan, model) else { return };
    page.until("drawn(24)");
    page.draw("a red bird", "0-3", 4);
    page.value("all('.cell')[1].click()");
    let visible = |id: &str| format!("$('{id}').offsetParent !== null");
    for id in ["strength", "preserve", "project", "no-edits"] {
        page.is(&format!("!({})", visible(id)));
    }
    for id in ["truncation", "edit-fields", "edit-strength", "tools"] {
        page.is(&visible(id));
    }
    page.set("edit-text", "a small yellow bird");
    page.click("edit-go");
    page.until("edited() && shown('right')");
    page.is("$('left').src !== $('right').src");
    let command = page.text("edit-command");
    assert!(command.contains("--strength") && !command.contains("--preserve"), "{command}");
    page.click("do-edit-strip");
    page.until("edited() && all('#edit-strip img').length === 5");
    page.end();
}

#[test]
fn a_run_is_watched() {
    let cigan = Cigan::new();
    let (run, _) = trained(&cigan);
    let Some(mut page) = Page::open_with(cigan, run.clone()) else { return };
    page.until("!$('run').hidden && $('run-metric').options.length > 1");
    page.is("$('run-title').textContent.includes('align-text') && !$('run-title').textContent.includes('training')");
    page.is("$('run-newest').hidden && $('run-value').textContent.startsWith('now ')");
    page.is("$('run-chart').firstElementChild.getAttribute('points').includes(' ')");
    page.accessible("a run");
    // It has room on a phone as well.
    page.size(390, 844);
    page.until("innerWidth === 390 && document.documentElement.scrollWidth <= innerWidth");
    page.is("$('run').offsetHeight < 320 && $('run-title').offsetHeight < 80");
    page.size(1280, 900);
    let before = page.value("$('model').title + $('run-title').textContent");

    // The run continues: this process trains it, writes metrics and a newer model.
    let path = std::path::Path::new(&run);
    let lock = std::fs::File::options().write(true).open(path.join("run.lock")).unwrap();
    lock.lock().unwrap();
    let metrics = path.join("metrics.jsonl");
    let known = std::fs::read_to_string(&metrics).unwrap();
    let line = known.lines().last().unwrap();
    let mut next: serde_json::Value = serde_json::from_str(line).unwrap();
    next["nimg"] = json!(99_999);
    std::fs::write(&metrics, format!("{known}{next}\n")).unwrap();
    page.reload();
    page.until("/100000|99999|1e5/.test($('run-title').textContent.replace(/,/g, ''))");
    page.is("$('run-title').textContent.includes('training') && $('run-newest').hidden");
    let models: Vec<_> = std::fs::read_dir(path).unwrap().map(|f| f.unwrap().path()).collect();
    let name = |p: &std::path::Path| p.file_name().unwrap().to_string_lossy().into_owned();
    let newest = models.iter().filter(|p| name(p).starts_with("model-")).max().unwrap();
    // Its default strength is another one.
    let mut model = cigan::Model::open(newest).unwrap();
    model.set_text("strength", "0.41".into());
    page.set("truncation", "0.9");
    page.draw("a red bird", "0-3", 4);
    page.until("location.search.includes('strength=')");
    model.file().write(path.join("model-000099999.safetensors")).unwrap();
    // The page notices by itself while the run trains.
    page.until("!$('run-newest').hidden");
    page.value("document.body.dataset.ready = 'old'");
    page.click("run-newest");
    page.until("document.body?.dataset.ready === 'yes'");
    page.value(super::HELPERS);
    page.until("!$('run').hidden && $('run-newest').hidden");
    page.until("idle() && all('#grid > .cell').length > 0");
    page.until("$('title').textContent === 'a red bird' && $('strength').value === '0.41'");
    page.until("$('truncation').value === '0.9' && location.search.includes('strength=0.41')");
    assert_ne!(page.value("$('model').title + $('run-title').textContent"), before);
    drop(lock);
    page.end();
}

/// A run that trains has a page of its own until it has a model that generates from text.
#[test]
fn a_run_is_watched_before_it_has_a_model() {
    let cigan = Cigan::new();
    let run = cigan.path("run");
    std::fs::create_dir(&run).unwrap();
    let at = |name: &str| std::path::Path::new(&run).join(name);
    let metrics = "{\"nimg\":1000,\"loss\":2.5}\n{\"nimg\":2000,\"loss\":1.5}\n";
    std::fs::write(at("metrics.jsonl"), metrics).unwrap();
    cigan.run(&["serve", "--model", &run]).fails(1).says("contains no model").hints();
    let lock = std::fs::File::create(at("run.lock")).unwrap();
    lock.lock().unwrap();
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::start(&run, &[]);
    browser.open(&server.url());
    let text = |id: &str| format!("document.getElementById('{id}').textContent");
    browser.until(&format!("{} === 'This run is still training'", text("heading")));
    browser.until(&format!("{} === 'now 1.5'", text("run-value")));
    browser.until("document.getElementById('run-newest').hidden");
    let refused = server.get("/api/models");
    assert_eq!(refused.status, 503, "{:?}", refused.body);
    let strange = server.request("GET /", &[("Host", "example.org")], b"");
    assert_eq!(strange.status, 403);

    // The run stops, then continues with a model.
    drop(lock);
    browser.until(&format!("{} === 'This run has stopped'", text("heading")));
    models::ci_gan(16).file().write(at("model-000002000.safetensors")).unwrap();
    browser
        .until("document.body?.dataset.ready === 'yes' && document.getElementById('go') !== null");
    browser.until("document.querySelectorAll('#grid > .cell').length > 0");
    assert!(
        browser.complaints.iter().all(|c| c.contains("Failed to load")),
        "{:?}",
        browser.complaints
    );
}
