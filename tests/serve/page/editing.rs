//! Editing pictures: of the grid, and the user's own.

use image::RgbImage;

use cigan::systems::requests::REFINEMENT;

use super::Page;

/// Writes a picture that is not square.
pub(super) fn photo(page: &Page) -> String {
    let path = page.cigan.path("photo of a bird.png");
    RgbImage::from_fn(50, 40, |x, y| image::Rgb([(x * 5) as u8, (y * 6) as u8, 90]))
        .save(&path)
        .unwrap();
    path
}

#[test]
fn a_picture_of_the_grid() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-15", 16);
    page.value("all('.cell')[4].click()");
    page.is("$('right-figure').hidden && $('compare').disabled && $('edit-save').disabled");
    page.set("edit-text", "a yellow bird");
    // The layers have names.
    let bands = page.value("all('#bands label').map((l) => l.textContent.trim()).join()");
    assert_eq!(bands, "all,pose and shape,parts,colours");
    page.value("all('#bands input')[3].click()");
    page.click("edit-go");
    page.until("edited() && shown('right')");
    assert!(page.text("edit-command").contains("--layers 4-5"), "{}", page.text("edit-command"));
    // Original and edit stand side by side; the slider is a choice.
    page.is("shown('left') && $('left').getBoundingClientRect().right <= $('right').getBoundingClientRect().left");
    page.is("$('left').src === all('.cell img')[4].src && $('left').src !== $('right').src");
    page.click("compare");
    page.is(
        "$('pair').hidden && shown('under') && shown('over') && $('over').src === $('right').src",
    );
    page.click("compare");
    // A band or a slider edits again.
    let colours = page.value("$('right').src");
    page.value("all('#bands input')[1].click()");
    page.until("edited() && $('edit-command').textContent.includes('--layers 0-1')");
    assert_ne!(page.value("$('right').src"), colours);
    page.click("do-edit-strip");
    page.until("edited() && all('#edit-strip img').length === 5");
    // Each picture keeps its edit.
    page.value("all('.cell')[5].click()");
    page.is("$('right-figure').hidden && all('#edit-strip img').length === 0");
    page.value("all('.cell')[4].click()");
    page.is("!$('right-figure').hidden && all('#edit-strip img').length === 5");

    // On a phone, the pictures are above the form: an edit scrolls to them.
    page.size(390, 844);
    page.value("scrollBy(0, $('right').getBoundingClientRect().bottom + 20)");
    page.until("$('right').getBoundingClientRect().bottom < 0");
    page.click("edit-go");
    page.until("edited() && $('left').getBoundingClientRect().top >= 0 && $('right').getBoundingClientRect().bottom <= innerHeight");

    // A refusal changes nothing.
    let command = page.text("edit-command");
    page.set("edit-text", "qqqq");
    page.click("edit-go");
    page.until("$('edit-status').classList.contains('bad')");
    assert_eq!(page.text("edit-command"), command);
    page.is("edited()");
    // The edit is marked as an old one, but not that of another picture.
    page.is(
        "$('right-name').textContent === 'previous edit' && $('view').classList.contains('stale')",
    );
    page.value("all('.cell')[5].click()");
    page.is("!$('view').classList.contains('stale')");
    page.value("all('.cell')[4].click()");
    page.is("$('view').classList.contains('stale')");
    page.set("edit-text", "a black bird");
    page.click("edit-go");
    page.until("edited() && $('right-name').textContent === 'edit'");
    page.is("!$('view').classList.contains('stale')");
    page.end();
}

#[test]
fn a_picture_of_the_users_own() {
    let Some(mut page) = Page::open() else { return };
    let photo = photo(&page);
    page.draw("a red bird", "0-3", 4);
    // A file that is not a picture is refused at once and selects nothing.
    let other = page.cigan.path("notes.png");
    std::fs::write(&other, "<html>no</html>").unwrap();
    page.browser.choose("#file", &other);
    page.until("$('edit-status').classList.contains('bad')");
    assert!(page.text("edit-status").contains("notes.png"), "{}", page.text("edit-status"));
    page.is("$('about-selected').textContent.startsWith('a red bird')");

    // The page shows the square that the model will see.
    page.browser.choose("#file", &photo);
    page.until(
        "$('about-selected').textContent.startsWith('photo of a bird.png') && shown('left')",
    );
    page.is("$('edit-command').textContent === 'cigan edit …' && $('do-vary').disabled");
    page.value("document.querySelector('input[value=between]').click()");
    page.set("edit-from", "a red bird");
    page.set("edit-to", "a yellow bird");
    page.click("do-edit-strip");
    page.until("edited() && all('#edit-strip img').length === 5");
    page.until("['left', 'middle', 'right'].every((id) => shown(id))");
    let command = page.text("edit-command");
    assert!(command.contains("--image 'photo of a bird.png' --from"), "{command}");
    assert!(command.contains(&format!("--project {REFINEMENT}")), "{command}");

    // A stopped edit restores the last one; a new picture does not get the edit of the old one.
    let kept = page.value("$('right').src");
    page.value("upTo = 'refining'");
    page.set("project", "300");
    page.click("edit-go");
    page.until("/matching/.test($('edit-status').textContent)");
    page.browser.press("Escape");
    page.until("idle()");
    assert_eq!(page.value("$('right').src"), kept);
    page.value("upTo = null");
    let second = page.cigan.path("other.png");
    std::fs::copy(&photo, &second).unwrap();
    page.browser.choose("#file", &second);
    page.until("$('about-selected').textContent.startsWith('other.png')");
    page.is("$('right-figure').hidden && $('edit-codes').disabled");
    page.end();
}
