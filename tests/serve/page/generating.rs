//! Generating pictures: with the keyboard, several prompts, refusals and interruptions.

use serde_json::json;

use super::Page;
use crate::server::run_shown;

#[test]
fn the_keyboard_is_enough() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.is("document.activeElement.id === 'text'");
    page.browser.type_text("a red bird");
    page.browser.press("Enter");
    page.until("drawn(16) && $('title').textContent === 'a red bird'");
    let before = page.value("places()");
    let command = page.text("command");
    assert!(command.contains("--text 'a red bird' --seeds 0-15"), "{command}");

    // Move from the prompt to the pictures; letters are shortcuts once the prompt has lost the focus.
    page.browser.press("ArrowDown");
    page.until("document.activeElement.title === 'seed 0'");
    page.browser.press("ArrowRight");
    page.browser.press("ArrowRight");
    page.until("document.activeElement.title === 'seed 2' && shown('left')");
    page.is("$('about-selected').textContent.includes('Seed 2')");
    assert_eq!(page.value("places()"), before, "the layout has changed");

    // A strip has a second command: that of the grid stays, and both reproduce their pictures.
    page.browser.press("t");
    page.until("all('#strip img').length === 5");
    let strip = page.text("strip-command");
    assert!(strip.contains("--seeds 2 ") && strip.contains("--strip"), "{strip}");
    assert_eq!(page.text("command"), command);
    page.browser.press("ArrowRight");
    page.until("all('#strip img').length === 0");
    page.browser.press("ArrowLeft");
    page.until("all('#strip img').length === 5");

    // Edit the picture, then run the commands of the page one after the other.
    page.browser.press("e");
    page.until("document.activeElement.id === 'edit-text'");
    page.browser.type_text("a yellow bird");
    page.browser.press("Enter");
    page.until("edited()");
    let commands = [page.text("command"), page.text("edit-command")];
    run_shown(&page.cigan, &commands[0], "out");
    run_shown(&page.cigan, &commands[1], "edited");
    page.value("$('save-size').selectedIndex = 0");
    page.click("edit-save");
    let file = std::fs::read(page.cigan.path("edited/code0002-edited.png")).unwrap();
    assert_eq!(page.saved(), ("edited.png".to_owned(), file));

    // Neighbours of a seed, independent seeds, random seeds.
    page.browser.press("Escape");
    page.browser.press("v");
    page.until("drawn(16) && $('about-selected').textContent.includes('Near seed 2, distance')");
    page.is("$('do-vary').disabled");
    assert!(page.text("command").contains("--vary 2 "));
    page.click("vary-off");
    page.until("drawn(16) && !$('about-selected').textContent.includes('Near')");
    page.browser.press("r");
    page.until("drawn(16) && all('.cell')[0].title !== 'seed 0'");
    page.browser.press("/");
    page.until("document.activeElement.id === 'text'");
    page.end();
}

#[test]
fn prompts_become_rows_and_candidates_are_ranked() {
    let Some(mut page) = Page::open() else { return };
    page.set("text", "a red bird\na yellow bird\n\na black bird");
    page.set("seeds", "0-3");
    page.click("go");
    page.until("drawn(12) && $('title').textContent === '3 prompts'");
    // The same seeds in every row.
    let titles = page.value("all('.cell').map((c) => c.title.slice(5)).join('')");
    assert_eq!(titles, "012301230123");
    page.value("all('.cell')[9].click()");
    page.is("$('about-selected').textContent.startsWith('a black bird')");
    assert!(page.text("command").contains("--text 'a black bird'"));
    page.click("save-zip");
    let (name, bytes) = page.saved();
    assert_eq!(name, "pictures.zip");
    let path = page.cigan.path(&name);
    std::fs::write(&path, &bytes).unwrap();
    let info = page.cigan.run(&["info", &path]).ok().stdout;
    assert!(info.contains("12, saved by") && info.contains("--text 'a yellow bird'"), "{info}");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    assert_eq!(names.len(), 3 * 6, "{names:?}");
    for i in 0..zip.len() {
        // Reading checks the checksum.
        std::io::copy(&mut zip.by_index(i).unwrap(), &mut std::io::sink()).unwrap();
    }
    // A row becomes the only prompt.
    page.value("all('.row-title')[2].click()");
    page.until("drawn(4) && $('title').textContent === 'a black bird'");

    // Too many pictures are refused before anything is drawn.
    page.set("text", "a red bird\na yellow bird");
    page.set("seeds", "0-63");
    page.click("go");
    page.until("$('status').classList.contains('bad')");
    assert!(page.text("status").contains("more than 64"), "{}", page.text("status"));
    page.set("text", "a red bird\nqqqq");
    page.set("seeds", "0-3");
    page.click("go");
    page.until("$('status').textContent.startsWith('Prompt 2 of 2: no word')");

    page.set("candidates", "32");
    page.draw("a red bird", "0-3", 4);
    let command = page.text("command");
    assert!(command.contains("--candidates 32"), "{command}");
    let seeds = page.value("all('.cell').map((c) => Number(c.title.slice(5)))");
    assert!(seeds.as_array().unwrap().iter().all(|s| s.as_u64().unwrap() < 32), "{seeds}");
    assert_ne!(seeds, json!([0, 1, 2, 3]), "the seeds that are nearest to the prompt");

    // A long prompt is visible as a whole, also when the window becomes narrow.
    page.set("text", &"a small red bird ".repeat(4));
    page.is("$('text').rows === 1 && $('text').scrollHeight <= $('text').clientHeight");
    page.size(390, 844);
    page.until("$('text').rows > 1 && $('text').scrollHeight <= $('text').clientHeight");
    page.end();
}

#[test]
fn an_old_result_is_marked_as_such() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-15", 16);
    let before = page.value("places()");
    page.value("$('status').textContent = 'word '.repeat(300)");
    assert_eq!(page.value("places()"), before, "a long message");
    let seen = ["pictures()", "$('command').textContent", "$('about-selected').textContent"];
    let kept = seen.map(|seen| page.value(seen));

    page.set("text", "qqqq");
    page.click("go");
    page.until("$('status').classList.contains('bad')");
    let message = page.text("status");
    assert!(message.starts_with("Prompt: no word") && message.contains("qqqq"), "{message}");
    assert_eq!(page.text("title"), "a red bird (previous result)");
    page.is("$('results').classList.contains('stale')");
    assert_eq!(seen.map(|seen| page.value(seen)), kept);
    page.draw("a yellow bird", "0-15", 16);
    page.is("!$('results').classList.contains('stale')");
    page.draw("a red bird", "0-15", 16);
    page.set("seeds", "O-15");
    page.click("go");
    page.until("$('status').textContent.includes('whole number')");

    // After a stopped request, the last finished result is shown again.
    page.value("upTo = 'accepted'");
    page.set("text", "a black bird");
    page.set("seeds", "0-63");
    page.click("go");
    page.until("$('status').textContent === 'starting'");
    assert_eq!(seen.map(|seen| page.value(seen)), kept, "a waiting request changes nothing");
    page.browser.press("Escape");
    page.until("idle()");
    page.value("upTo = 'frame'");
    page.click("go");
    page.until("/step/.test($('status').textContent) && all('.cell').length === 64");
    page.is("$('save-zip').disabled && $('save').disabled");
    page.browser.press("Escape");
    page.until("idle() && $('status').textContent === 'stopped'");
    assert_eq!(seen.map(|seen| page.value(seen)), kept);
    assert_eq!(page.text("title"), "a red bird (previous result)");
    page.value("upTo = null");
    page.end();
}
