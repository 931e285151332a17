//! Files that the page saves and takes.

use image::GenericImageView;
use serde_json::json;

use super::Page;
use crate::server::pixels;

/// Drops a file on the page.
fn drop(page: &mut Page, name: &str, bytes: &[u8]) {
    let (name, bytes) = (json!(name), json!(bytes));
    page.value(&format!(
        "(() => {{ const data = new DataTransfer();
            data.items.add(new File([new Uint8Array({bytes})], {name}, {{ type: 'image/png' }}));
            document.dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, cancelable: true }})); }})()"
    ));
}

#[test]
fn pictures_are_saved_with_their_settings_and_restore_them() {
    let Some(mut page) = Page::open() else { return };
    page.set("strength", "0.45");
    page.set("truncation", "0.8");
    page.draw("a red bird", "0-3,11", 5);
    page.value("all('.cell')[4].click()");
    page.value("$('save-size').selectedIndex = 0");
    page.click("save");
    let (name, small) = page.saved();
    assert_eq!(name, "seed0011.png");
    for (option, name, smooth) in [(1, "seed0011-x4.png", false), (2, "seed0011-x4.png", true)] {
        page.value(&format!("$('save-size').selectedIndex = {option}"));
        page.click("save");
        let (found, large) = page.saved();
        assert_eq!(found, name);
        let path = page.cigan.path("large.png");
        std::fs::write(&path, &large).unwrap();
        let text = cigan::picture::png::read_text(std::path::Path::new(&path)).unwrap();
        assert_eq!((&*text["prompt"], &*text["seed"]), ("a red bird", "11"));
        let (small, large) = (pixels(&small), pixels(&large));
        assert_eq!(large.dimensions(), (64, 64));
        let squares = large.enumerate_pixels().all(|(x, y, p)| p == small.get_pixel(x / 4, y / 4));
        assert_eq!(squares, !smooth);
        let info = page.cigan.run(&["info", &path]).ok().stdout;
        assert!(info.contains("a red bird") && info.contains("cigan generate"), "{info}");
    }
    page.click("copy-picture");
    page.until("copied !== null");
    page.value("saved = copied; savedName = 'copied'");
    assert_eq!(page.saved().1, small);
    page.click("save-grid");
    let (name, sheet) = page.saved();
    let path = page.cigan.path(&name);
    std::fs::write(&path, &sheet).unwrap();
    let info = page.cigan.run(&["info", &path]).ok().stdout;
    assert!(info.contains("a red bird") && info.contains("several pictures"), "{info}");
    assert!(!info.contains("cigan generate"), "{info}");
    let sheet = image::load_from_memory(&sheet).unwrap();
    assert_eq!((&*name, sheet.dimensions()), ("sheet.png", (3 * 16, 2 * 16)));

    // A picture that was dropped brings its settings back, and is itself drawn again.
    let before = page.value("$('left').src");
    page.set("strength", "0.2");
    page.set("truncation", "0.5");
    page.draw("a yellow bird", "0-3", 4);
    drop(&mut page, "seed0011.png", &small);
    page.until("drawn(1) && $('title').textContent === 'a red bird' && shown('left')");
    assert_eq!(page.value("$('left').src"), before);
    page.is("$('strength').value === '0.45' && $('truncation').value === '0.8' && $('seeds').value === '11'");
    page.is("$('edit-status').textContent.includes('restored')");

    // An edit brings the settings of the edit.
    page.set("edit-text", "a black bird");
    page.value("all('#bands input')[2].click()");
    page.set("preserve", "0.75");
    page.click("edit-go");
    page.until("edited()");
    page.value("$('save-size').selectedIndex = 0");
    page.click("edit-save");
    let edited = page.saved().1;
    page.set("edit-text", "");
    page.set("preserve", "0");
    page.value("all('#bands input')[0].click()");
    page.until("idle()");
    drop(&mut page, "edited.png", &edited);
    page.until("$('edit-text').value === 'a black bird' && $('preserve').value === '0.75'");
    page.is("all('#bands input')[2].checked && $('about-selected').textContent.startsWith('edited.png')");
    page.end();
}

#[test]
fn pictures_of_commands_are_restored_or_named() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    let model = page.model.clone();
    let made = |page: &Page, name: &str, words: &[&str]| {
        let path = page.cigan.path(name);
        let out = ["--device", "cpu", "--out", &path];
        page.cigan.run(&[words, &["--model", &model], &out].concat()).ok();
        std::fs::read(&path).unwrap()
    };
    let words = ["generate", "--text", "a yellow bird", "--seeds", "2"];
    // Neither the steps nor the strength are those of the page, nor on a step of its slider.
    let exact = ["--steps", "3", "--strength", "0.33", "--truncation", "1.5"];
    let file = made(&page, "exact.png", &[&words[..], &exact].concat());
    drop(&mut page, "exact.png", &file);
    page.until("drawn(1) && $('title').textContent === 'a yellow bird'");
    page.is("$('strength').value === '0.33' && $('truncation').value === '1.5' && $('steps').value === '3'");
    page.is("!$('steps-part').hidden && location.search.includes('steps=3')");
    page.is("$('edit-status').textContent === 'settings of exact.png restored'");
    page.value("$('save-size').selectedIndex = 0");
    page.click("save");
    assert_eq!(pixels(&page.saved().1), pixels(&file));
    // Somebody who moves a slider gets its steps back.
    page.set("strength", "0.52");
    page.is("$('strength').value === '0.5'");

    let file = made(&page, "far.png", &[&words[..], &["--set", "guidance.lr=0.3"]].concat());
    drop(&mut page, "far.png", &file);
    page.until("drawn(1) && $('edit-status').textContent.includes('but not guidance.lr=0.3')");
    page.is("$('steps-part').hidden && !location.search.includes('steps')");

    // Layers that the page does not offer are named; the choice does not stay as it was.
    let path = page.cigan.path("exact.png");
    let words = ["edit", "--image", &path, "--text", "a black bird", "--steps", "3"];
    let file = made(&page, "layers.png", &[&words[..], &["--layers", "1-4"]].concat());
    page.value("all('#bands input')[3].click()");
    drop(&mut page, "layers.png", &file);
    page.until("$('edit-status').textContent.includes('but not the layers 1-4: ')");
    page.is("all('#bands input')[0].checked && $('edit-text').value === 'a black bird'");

    let file = made(&page, "in-w.png", &[&words[..], &["--project-space", "w"]].concat());
    drop(&mut page, "in-w.png", &file);
    page.until(
        "$('edit-status').textContent.includes('but not the latent space of its projection')",
    );

    let file = made(&page, "tuned.png", &[&words[..], &["--tune", "1"]].concat());
    drop(&mut page, "tuned.png", &file);
    page.until("$('edit-status').textContent.includes(', the tuning of its generator: ')");

    let file = made(&page, "sample.png", &["sample", "--seeds", "3"]);
    drop(&mut page, "sample.png", &file);
    page.until("$('about-selected').textContent.startsWith('sample.png')");
    page.is("$('edit-status').textContent.startsWith('sample.png is seed 3 of `cigan sample`')");
    page.end();
}

#[test]
fn a_picture_can_be_enlarged() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.click("zoom-left");
    page.until("$('zoom').open && shown('zoomed') && $('zoomed').width > 600");
    page.click("smooth");
    page.is("getComputedStyle($('zoomed')).imageRendering === 'auto'");
    page.accessible("an enlarged picture");
    page.click("zoom-close");
    page.is("!$('zoom').open");
    page.end();
}
