//! The page when it opens, on screens of several sizes, and its accessibility.

use serde_json::json;

use super::Page;

/// Whether an element is inside the window.
const SEEN: &str = "(id) => { const r = $(id).getBoundingClientRect(); return r.width > 0 && r.top >= 0 \
                    && r.bottom <= innerHeight && r.left >= 0 && r.right <= innerWidth; }";

#[test]
fn examples_are_drawn_when_the_page_opens() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.is("$('title').textContent.startsWith('Examples')");
    let titles = page.value("all('.row-title').map((e) => e.textContent)");
    assert_eq!(titles, json!(["a red bird", "a black bird", "a yellow bird"]));
    // The first picture is selected, and the edit is in view without scrolling.
    page.is("shown('left') && all('.cell')[0].getAttribute('aria-pressed') === 'true'");
    page.value(&format!("window.seen = {SEEN}"));
    for id in ["text", "go", "left", "edit-text", "edit-go", "edit-command"] {
        page.is(&format!("seen('{id}')"));
    }
    // An example becomes the prompt.
    page.value("all('.row-title')[2].click()");
    page.until("drawn(16) && $('title').textContent === 'a yellow bird'");
    page.is("$('text').value === 'a yellow bird' && all('.row-title').length === 0");
    page.end();
}

#[test]
fn every_width_is_used_and_none_scrolls_sideways() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.value(&format!("window.seen = {SEEN}"));
    for (width, height) in [(1280, 900), (1920, 1080), (900, 700)] {
        page.size(width, height);
        page.until("document.documentElement.scrollWidth <= innerWidth");
        page.until(&format!("innerWidth === {width}"));
        page.until("$('picked').getBoundingClientRect().right > innerWidth - 40");
        page.is("$('results').getBoundingClientRect().left < 40 && seen('edit-go')");
        page.until("all('.cell').every((c) => c.clientWidth >= 80)");
    }

    // On a phone, users can choose a picture of their own before any other, and read what is wrong
    // with it.
    page.size(390, 844);
    page.reload();
    page.until("innerWidth === 390 && drawn(24)");
    page.is("$('picked').classList.contains('unpicked') && $('drop').offsetHeight >= 32");
    page.is("$('edit-go').offsetHeight === 0 && $('favourite').offsetHeight === 0 && $('edit-text').offsetHeight === 0");
    let text = page.cigan.path("no picture.png");
    std::fs::write(&text, "text").unwrap();
    page.browser.choose("#file", &text);
    page.until("$('edit-status').classList.contains('bad') && $('edit-status').offsetHeight > 0");
    page.browser.choose("#file", &super::editing::photo(&page));
    page.until("shown('left') && $('left').offsetHeight > 0 && $('edit-go').offsetHeight > 0");
    page.until("$('left').getBoundingClientRect().top < innerHeight");

    // The picture opens below the row in which it was tapped.
    page.until("innerWidth === 390 && document.documentElement.scrollWidth <= innerWidth");
    page.value("all('.cell')[5].click()");
    page.until("$('picked').parentElement === $('grid') && shown('left')");
    page.is("(() => { const cells = all('.cell'), p = $('picked').getBoundingClientRect();
            const below = p.top - cells[5].getBoundingClientRect().bottom;
            const next = cells.find((c) => c.offsetTop > cells[5].offsetTop);
            return below >= 0 && below < 20 && next.getBoundingClientRect().top >= p.bottom; })()");
    page.is("document.documentElement.scrollWidth <= innerWidth");
    // No label of a button is broken into letters.
    page.is("all('button:not(.cell, .item, .picture)').every((b) => b.offsetHeight < 60)");
    page.size(1280, 900);
    page.until("$('picked').parentElement.tagName === 'MAIN'");
    page.end();
}

#[test]
fn everyone_can_use_it() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.set("edit-text", "a yellow bird");
    page.click("do-edit-strip");
    page.until("edited()");
    for (width, theme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        page.size(width, 900);
        page.until(&format!("innerWidth === {width}"));
        page.value(&format!("document.documentElement.dataset.theme = '{theme}'"));
        page.value("$('settings').open = true");
        // A radio button is pressed by its label.
        let small = page.value(
            "all('button, select, input:not([type=radio]):not([type=file]), textarea, a, .toggle label, .file')
                .filter((e) => e.offsetParent !== null)
                .filter((e) => e.offsetHeight < 32 || e.offsetWidth < 32)
                .map((e) => e.outerHTML.slice(0, 100))",
        );
        assert_eq!(small, json!([]), "{width} {theme}: smaller than 32 pixels");
        page.accessible(&format!("{width} {theme}"));
    }
    let unnamed = page.value(
        "all('button, select, input, textarea, a, [role=group], [role=radiogroup], dialog').filter((e) =>
            !(e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim()))
            .map((e) => e.outerHTML)",
    );
    assert_eq!(unnamed, json!([]));
    // No symbols and no flags; the commands are for the terminal.
    let words = page.value(
        "all('.command').forEach((e) => { e.style.display = 'none'; }); document.body.innerText",
    );
    for jargon in ["ψ", "--", "truncation", "W+"] {
        assert!(!words.as_str().unwrap().contains(jargon), "{jargon}: {words}");
    }
    page.end();
}

#[test]
fn the_api_has_a_page() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.is("$('api').getAttribute('href') === '/api'");
    page.browser.open(&format!("{}api", page.server.url()));
    page.accessible("the page of the API");
    page.value("window.all = (selector) => Array.from(document.querySelectorAll(selector))");
    let requests = page.value("all('summary code').map((c) => c.textContent)");
    let requests = requests.as_array().unwrap();
    assert!(requests.len() > 7 && requests.contains(&json!("POST /api/edit")), "{requests:?}");
    // The examples have this address and a prompt that the model knows.
    let examples = page.value("all('pre').map((p) => p.textContent).join()");
    let examples = examples.as_str().unwrap();
    let generate = format!("curl -s http://{}/api/generate", page.server.host);
    assert!(examples.contains(&generate) && examples.contains("a red bird"), "{examples}");
    page.is("all('dt').length > 20 && document.documentElement.scrollWidth <= innerWidth");
    page.end();
}
