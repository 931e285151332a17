//! Exploring around a picture: directions, differences of texts, mixing, and animations.

use image::AnimationDecoder;

use super::Page;

/// Sets a slider as a user does.
fn slide(page: &mut Page, id: &str, value: &str) {
    page.set(id, value);
    page.until("$('explore-status').textContent === ''");
}

#[test]
fn requests_of_different_kinds_do_not_cancel_each_other() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    // The server cancels an older request with the id of the page that a new one has.
    let ids = page.value(
        "(async () => {
            const { ask } = await import('/request.js');
            const real = window.fetch, ids = [];
            window.fetch = (path, init) => { ids.push(init.headers['x-cigan-page']); return real(path, init); };
            const answers = await Promise.all([
                ask('/api/directions', JSON.stringify({ count: 2 })),
                ask('/api/texts', JSON.stringify({ texts: ['a red bird', 'a blue bird'] })),
            ]);
            window.fetch = real;
            return ids[0] !== ids[1] && answers.every((answer) => answer.event === 'done');
        })()",
    );
    assert_eq!(ids, serde_json::json!(true));
    page.end();
}

#[test]
fn sliders_move_the_selected_picture() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.value("all('.cell')[1].click()");
    page.click("show-explore");
    page.is("$('edit').hidden && !$('explore').hidden");
    page.until("all('#directions input').length === 6");
    let original = page.value("$('left').src");
    slide(&mut page, "direction-0", "3");
    page.until("shown('right') && $('right').src !== $('left').src");
    page.accessible("exploring");
    let moved = page.value("$('right').src");
    // The colours alone give another picture.
    page.value("all('#explored-bands input')[3].click()");
    page.until(&format!("$('right').src !== {moved}"));
    page.value("all('#explored-bands input')[0].click()");
    page.until(&format!("$('right').src === {moved}"));
    page.is("$('edit-command').textContent.includes('cigan sample')");
    // The command shows the same picture.
    page.click("edit-codes");
    let (name, codes) = page.saved();
    assert_eq!(name, "codes.safetensors");
    std::fs::write(page.cigan.path("codes.safetensors"), codes).unwrap();
    let model = page.model.clone();
    let [codes, out] = ["codes.safetensors", "explored"].map(|name| page.cigan.path(name));
    page.cigan.run(&["sample", "--model", &model, "--latents", &codes, "--out", &out]).ok();
    page.value("$('save-size').selectedIndex = 0");
    page.click("edit-save");
    let picture = page.saved().1;
    let path = page.cigan.path("explored.png");
    std::fs::write(&path, &picture).unwrap();
    let info = page.cigan.run(&["info", &path]).ok().stdout;
    assert!(info.contains("cigan sample --model MODEL --latents CODES"), "{info}");
    let picture = crate::server::pixels(&picture);
    let file = std::fs::read(page.cigan.path("explored/latent0000.png")).unwrap();
    assert_eq!(picture, crate::server::pixels(&file));
    // Back to zero is the picture itself.
    slide(&mut page, "direction-0", "0");
    page.until("$('right').naturalWidth === 16");
    let pixels =
        "(async () => { const of = async (image) => { const c = document.createElement('canvas');
        c.width = c.height = 16; const x = c.getContext('2d'); x.drawImage(image, 0, 0);
        return x.getImageData(0, 0, 16, 16).data.join(); };
        return await of($('left')) === await of($('right')); })()";
    page.until(pixels);

    // The difference of two texts, which must be known.
    page.set("text-from", "a red bird");
    page.set("text-to", "qqqq");
    page.set("text-amount", "1");
    page.until("$('explore-status').classList.contains('bad')");
    page.set("text-to", "a yellow bird");
    slide(&mut page, "text-amount", "1.5");
    page.until(
        "!$('explore-status').classList.contains('bad') && $('right').src !== $('left').src",
    );

    // Another picture begins at zero.
    page.value("all('.cell')[2].click()");
    page.is("$('text-amount').value === '0' && $('right-figure').hidden");
    page.value("all('.cell')[1].click()");
    assert_eq!(page.value("$('left').src"), original);
    page.end();
}

#[test]
fn sliders_work_after_an_error() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.value("all('.cell')[1].click()");
    page.click("show-explore");
    page.until("all('#directions input').length === 6");
    slide(&mut page, "direction-0", "3");
    page.until("shown('right')");
    // A text without a known word: the message names the field, in sight, and the other sliders work.
    page.set("text-from", "a red bird");
    page.set("text-to", "qqqq");
    page.set("text-amount", "1");
    page.until("$('explore-status').classList.contains('bad')");
    let said = page.text("explore-status");
    assert!(said.starts_with("Second description: "), "{said}");
    let in_sight = "(() => { $('picked').scrollTop = $('picked').scrollHeight;
        const [message, panel] = ['explore-status', 'picked'].map((id) => $(id).getBoundingClientRect());
        return message.height > 0 && message.top >= panel.top && message.bottom <= Math.min(panel.bottom, innerHeight); })()";
    page.is(in_sight);
    let before = page.value("$('right').src");
    page.set("direction-0", "-3");
    page.until(&format!(
        "$('right').src !== {before} && $('right-name').textContent === 'explored'"
    ));
    page.set("text-from", "zzzz");
    page.set("text-to", "a red bird");
    page.set("text-amount", "2");
    page.until("$('explore-status').textContent.startsWith('First description: ')");
    page.set("text-amount", "0");
    page.until("!$('explore-status').classList.contains('bad')");
    // A picture that is not the answer is marked, until there is one.
    page.value(
        "window.real = window.fetch; window.fetch = (path, options) => path === '/api/render'
            ? Promise.resolve(new Response('{\"message\": \"no memory\"}', { status: 400 })) : real(path, options)",
    );
    page.set("direction-0", "2");
    page.until("$('explore-status').textContent === 'No memory'");
    page.is("$('right-name').textContent === 'previous explored' && $('view').classList.contains('stale')");
    page.value("window.fetch = real");
    let before = page.value("$('right').src");
    slide(&mut page, "direction-0", "1");
    page.until(&format!("$('right').src !== {before}"));
    page.is("$('right-name').textContent === 'explored' && !$('view').classList.contains('stale')");
    page.end();
}

#[test]
fn two_pictures_are_mixed_and_filmed() {
    let Some(mut page) = Page::open() else { return };
    page.draw("a red bird", "0-3", 4);
    page.click("show-explore");
    page.until("all('#directions input').length === 6");
    page.is("$('film-go').disabled && $('mix').disabled");
    page.value("all('.cell')[0].click()");
    page.click("use-second");
    page.until("shown('second')");
    page.is("$('film-go').disabled");
    page.value("all('.cell')[3].click()");
    page.until("!$('film-go').disabled && !$('mix').disabled");
    slide(&mut page, "mix", "1");
    // All of the second picture is the second picture.
    let same = "(async () => { const of = (image) => { const c = document.createElement('canvas');
        c.width = c.height = 16; const x = c.getContext('2d'); x.drawImage(image, 0, 0);
        return x.getImageData(0, 0, 16, 16).data.join(); };
        return shown('right') && of($('right')) === of($('second')); })()";
    page.until(same);
    page.value("all('#mix-bands input')[0].click()");
    page.until(&format!("{}.then((same) => !same)", same));

    for (format, kind) in [("gif", image::ImageFormat::Gif), ("webp", image::ImageFormat::WebP)] {
        page.set("film-format", format);
        page.value("$('film').hidden = true");
        page.click("film-go");
        page.until("idle() && !$('film').hidden && $('film').naturalWidth === 256");
        page.click("film-save");
        let (name, bytes) = page.saved();
        assert_eq!(name, format!("film.{format}"));
        assert_eq!(image::guess_format(&bytes).unwrap(), kind);
        std::fs::write(page.cigan.path(&name), &bytes).unwrap();
        let cursor = std::io::Cursor::new(bytes);
        let frames = if format == "gif" {
            image::codecs::gif::GifDecoder::new(cursor).unwrap().into_frames().count()
        } else {
            image::codecs::webp::WebPDecoder::new(cursor).unwrap().into_frames().count()
        };
        assert_eq!(frames, 48);
        let path = page.cigan.path(&name);
        let info = page.cigan.run(&["info", &path]).ok().stdout;
        assert!(info.contains("256×256 pixels, 48 frames"), "{info}");
    }
    // The animation is that of this pair in this format, or there is none.
    let gone = "$('film').hidden && $('film-save').disabled";
    page.is("!$('film').hidden && !$('film-save').disabled");
    page.set("film-format", "gif");
    page.is(gone);
    page.click("film-go");
    page.until("idle() && !$('film').hidden");
    page.value("all('.cell')[1].click()");
    page.until(gone);
    page.end();
}

#[test]
fn a_photo_is_explored_from_its_edit() {
    let Some(mut page) = Page::open() else { return };
    page.until("drawn(24)");
    let photo = super::editing::photo(&page);
    page.browser.choose("#file", &photo);
    page.until("$('about-selected').textContent.startsWith('photo of a bird.png')");
    page.click("show-explore");
    page.until("all('#directions input').length === 6");
    page.set("direction-1", "2");
    page.until("$('explore-status').classList.contains('bad')");
    assert!(page.text("explore-status").contains("edit your own first"));
    page.click("show-edit");
    page.set("edit-text", "a yellow bird");
    page.click("edit-go");
    page.until("edited() && shown('right')");
    let edit = page.value("$('right').src");
    page.click("show-explore");
    for amount in ["3", "-3"] {
        let before = page.value("$('right').src");
        page.set("direction-1", amount);
        page.until(&format!(
            "$('right').src !== {before} && $('explore-status').textContent === ''"
        ));
    }
    page.is(&format!("$('right').src !== {edit}"));
    page.end();
}
