//! What the page shows of models: several to choose from, and what a model lacks.

use serde_json::json;

use super::Page;
use crate::common::models;
use crate::common::program::Cigan;

#[test]
fn the_page_switches_between_models() {
    let cigan = Cigan::new();
    let folder = cigan.path("models");
    std::fs::create_dir(&folder).unwrap();
    for resolution in [16, 32] {
        let path = format!("{folder}/birds{resolution}.safetensors");
        models::ci_gan(resolution).file().write(&path).unwrap();
    }
    let Some(mut page) = Page::open_with(cigan, folder) else { return };
    let names = page.value("Array.from($('models').options, (o) => o.textContent)");
    assert_eq!(names, json!(["birds16", "birds32"]));
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item').length === 1");
    page.value("$('models').value = '1'; $('models').dispatchEvent(new Event('change'))");
    page.until("document.title.includes('birds32') && document.body.dataset.ready === 'yes'");
    page.value(super::HELPERS);
    // The history belongs to the model, and the address no longer names the old settings.
    page.until("idle() && all('#grid > .cell img').every((i) => i.naturalWidth === 32)");
    page.is("all('.item').length === 0 && location.search === '' && $('models').value === '1'");
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
