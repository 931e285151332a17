//! The history, the favourites, and the settings in the address.

use serde_json::json;

use super::Page;
use super::editing::photo;

#[test]
fn results_survive_a_reload_and_the_back_button_works() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    page.is("all('.item').length === 0 && location.search === ''");
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item').length === 1");
    let red = page.value("pictures()");
    page.is("location.search.includes('text=a+red+bird') && location.search.includes('seeds=0-3')");
    page.set("strength", "0.5");
    page.draw("a yellow bird", "0-7", 8);
    page.until("all('.item').length === 2");
    let yellow = page.value("pictures()");
    page.value("history.back()");
    page.until("$('title').textContent === 'a red bird'");
    assert_eq!(page.value("pictures()"), red);
    page.is("$('text').value === 'a red bird' && $('seeds').value === '0-3' && $('strength').value === '0.2'");
    page.value("history.forward()");
    page.until("$('title').textContent === 'a yellow bird'");
    assert_eq!(page.value("pictures()"), yellow);

    // An edit and a favourite are stored as well.
    page.value("all('.cell')[2].click()");
    page.set("edit-text", "a black bird");
    page.click("edit-go");
    page.until("edited() && all('.item').length === 3");
    let edit = page.value("$('right').src");
    page.click("favourite");
    page.until("$('favourite').getAttribute('aria-pressed') === 'true'");
    let address = page.value("location.search");
    page.reload();
    page.until("drawn(8) && all('.item').length === 3");
    assert_eq!(page.value("location.search"), address);
    assert_eq!(page.value("pictures()"), yellow, "the same pictures, without drawing them again");
    page.value("all('.item')[0].click()");
    page.until("edited() && shown('right')");
    assert_eq!(page.value("$('right').src"), edit);
    // A stored picture has its code, so it can be edited again.
    page.set("edit-text", "a red bird");
    page.click("edit-go");
    page.until("edited()");
    page.until("all('.item').length === 4");
    page.value("all('.item')[3].click()");
    page.until("drawn(4) && $('title').textContent === 'a red bird'");
    assert_eq!(page.value("pictures()"), red);

    // Clearing asks first, and leaves the favourites.
    page.click("clear");
    page.is("all('.item').length === 4 && $('clear').textContent === 'Delete history?'");
    page.click("clear");
    page.until("all('.item').length === 0");
    page.click("show-favourites");
    page.until("all('.item').length === 1");
    page.value("all('.item')[0].click()");
    // The edit that is shown before is another one of the same picture.
    let kept = edit.as_str().unwrap();
    page.until(&format!("edited() && $('right').src === '{kept}'"));
    page.is("$('favourite').getAttribute('aria-pressed') === 'true'");
    page.click("favourite");
    page.until("all('.item').length === 0");
    page.end();
}

/// The browser's history is older than a page that was loaded again.
#[test]
fn going_back_beyond_a_reload_shows_what_was_there() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item').length === 1");
    let red = page.value("pictures()");
    page.draw("a yellow bird", "0-3", 4);
    page.until("all('.item').length === 2");
    page.reload();
    page.until("drawn(4) && $('title').textContent === 'a yellow bird'");
    page.draw("a black bird", "0-3", 4);
    page.until("all('.item').length === 3");
    page.value("history.go(-2)");
    page.until(
        "drawn(4) && $('text').value === 'a red bird' && $('title').textContent === 'a red bird'",
    );
    assert_eq!(page.value("pictures()"), red);
    page.end();
}

/// What is opened from the favourites or the history is as good as a picture of the grid, and brings
/// no message of another result.
#[test]
fn stored_pictures_can_be_used_like_others() {
    let Some(mut page) = Page::open() else { return };
    page.set("strength", "0.5");
    page.draw("a red bird", "0-3", 4);
    page.value("all('.cell')[2].click()");
    page.click("favourite");
    page.until("$('favourite').getAttribute('aria-pressed') === 'true'");
    // The favourite gets the edit that is made later.
    page.set("edit-text", "a black bird");
    page.click("edit-go");
    page.until("edited() && all('.item').length === 2");
    let edit = page.value("$('right').src");
    page.set("strength", "0.2");
    page.draw("a yellow bird", "0-1", 2);
    page.reload();
    page.until("drawn(2)");
    page.set("seeds", "abc");
    page.click("go");
    page.until("$('status').classList.contains('bad')");
    page.click("show-favourites");
    page.until("all('.item').length === 1");
    page.value("all('.item')[0].click()");
    page.until("edited() && shown('right') && $('status').textContent === ''");
    assert_eq!(page.value("$('right').src"), edit);
    // Its neighbours have its settings.
    page.set("seeds", "0-4");
    page.click("do-vary");
    page.until("drawn(5) && $('title').textContent === 'a red bird'");
    page.is(
        "!$('vary').hidden && $('vary-of').textContent === '2' && $('strength').value === '0.5'",
    );

    // On a phone, it opens although nothing of the grid is selected.
    page.size(390, 844);
    page.reload();
    page.until("innerWidth === 390 && drawn(5)");
    page.is("$('left').closest('#picked').classList.contains('unpicked')");
    page.click("show-recent");
    page.until("all('.item').length > 2");
    page.value("all('.item').find((item) => item.textContent === 'a black bird').click()");
    page.until("shown('right') && $('right').offsetHeight > 0");
    page.until("$('right').getBoundingClientRect().top >= 0 && $('right').getBoundingClientRect().top < innerHeight");
    page.end();
}

#[test]
fn the_same_result_is_stored_once() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.draw("a yellow bird", "0-3", 4);
    page.until("all('.item').length === 2");
    page.draw("a red bird", "0-3", 4);
    page.until("all('.item')[0].textContent === 'a red bird'");
    page.is("all('.item').length === 2");
    page.set("edit-text", "a black bird");
    for count in [3, 3] {
        page.click("edit-go");
        page.until(&format!("edited() && all('.item').length === {count}"));
        page.is("all('.item')[0].textContent === 'a black bird'");
    }
    // Another strength gives another edit.
    page.set("edit-strength", "0.9");
    page.click("edit-go");
    page.until("edited() && all('.item').length === 4");
    page.end();
}

#[test]
fn a_favourite_photo_is_not_mistaken_for_another() {
    let Some(mut page) = Page::open() else { return };
    let photo = photo(&page);
    for name in ["photo of a bird.png", "other.png"] {
        let path = page.cigan.path(name);
        if path != photo {
            std::fs::copy(&photo, &path).unwrap();
            page.reload();
        }
        page.browser.choose("#file", &path);
        page.until(&format!("$('about-selected').textContent.startsWith('{name}')"));
        page.is("$('favourite').getAttribute('aria-pressed') === 'false'");
        page.click("favourite");
        page.until("$('favourite').getAttribute('aria-pressed') === 'true'");
    }
    page.click("show-favourites");
    page.until("all('.item').length === 2");
    page.end();
}

#[test]
fn an_address_contains_all_settings() {
    let Some(mut page) = Page::open() else { return };
    page.go("/?text=a+red+bird&seeds=3-5&strength=0.35&truncation=0.9&by=0.4&vary=7");
    page.until("drawn(3) && $('title').textContent === 'a red bird'");
    let command = page.text("command");
    for part in ["--seeds 3-5", "--vary 7", "--vary-by 0.4", "--truncation 0.9", "--strength 0.35"]
    {
        assert!(command.contains(part), "{part}: {command}");
    }
    // An address may come from anyone.
    page.go("/?text=%3Cimg+src%3Dx%3E&seeds=%3Cb%3E&strength=9&vary=x");
    page.until("$('status').classList.contains('bad')");
    page.is("document.querySelectorAll('img[src=x]').length === 0");
    page.end();
}

#[test]
fn the_storage_is_limited() {
    let Some(mut page) = Page::open() else { return };
    // With a limit of 1000 characters, the oldest results make room; favourites stay.
    let left = page.value(
        "(async () => {
            const shelf = await import('/shelf.js');
            const item = (kind, key) => ({ kind, model: 'm', key, title: key, thumb: '' });
            const big = 'x'.repeat(300);
            for (const key of ['a', 'b', 'c', 'd']) {
                await shelf.add(item(key === 'a' ? 'favourite' : 'recent', key), big, 1000);
            }
            const refused = await shelf.add(item('recent', 'huge'), 'x'.repeat(2000), 1000);
            const keys = (kind) => shelf.list(kind, 'm').map((i) => i.key);
            return [refused, keys('favourite'), keys('recent'), shelf.list('recent', 'other')];
        })()",
    );
    assert_eq!(left, json!([null, ["a"], ["d", "c"], []]));
    page.end();
}

#[test]
fn two_tabs_do_not_overwrite_each_other() {
    let Some(mut page) = Page::open() else { return };
    // Two instances of the module share the storage, as two tabs do.
    let stored = page.value(
        "(async () => {
            const tabs = [await import('/shelf.js?1'), await import('/shelf.js?2')];
            for (const tab of tabs) await tab.open();
            const add = (tab, key) => tab.add({ kind: 'favourite', model: 'm', key, title: key, thumb: '' }, key);
            const ids = await Promise.all([add(tabs[0], 'a'), add(tabs[1], 'b')]);
            return Promise.all(ids.map((id) => tabs[0].get(id)));
        })()",
    );
    assert_eq!(stored, json!(["a", "b"]));
    page.end();
}

#[test]
fn a_drawing_that_fails_leaves_the_next_one_its_own_address() {
    let Some(mut page) = Page::open() else { return };
    page.go("/?text=qqqq&seeds=0");
    page.until("$('status').classList.contains('bad')");
    let before = page.value("history.length");
    page.draw("a red bird", "0-3", 4);
    page.until("location.search.includes('text=a+red+bird')");
    assert_ne!(page.value("history.length"), before);
    page.end();
}
