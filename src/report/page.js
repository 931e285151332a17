// Adds sliders to timelines and values under the pointer to charts. The page works without it.
for (const timeline of document.querySelectorAll(".timeline")) {
  const frames = timeline.querySelectorAll("img");
  const slider = timeline.querySelector("input");
  const caption = timeline.querySelector("figcaption");
  const show = () => {
    frames.forEach((frame, i) => {
      frame.classList.toggle("on", i === slider.valueAsNumber);
      frame.classList.toggle("off", i !== slider.valueAsNumber);
    });
    caption.textContent = frames[slider.valueAsNumber].alt;
  };
  slider.addEventListener("input", show);
  slider.hidden = frames.length < 2;
  show();
}

// Only small images, which are enlarged, are shown with sharp pixels.
for (const image of document.querySelectorAll("img")) {
  const setSmoothing = () => image.classList.toggle("smooth", image.naturalWidth > 256);
  image.complete ? setSmoothing() : image.addEventListener("load", setSmoothing);
}

for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg");
  const cursor = svg.querySelector(".cursor");
  const lines = JSON.parse(chart.querySelector("script").textContent);
  const values = chart.querySelectorAll(".legend b");
  const title = chart.querySelector("figcaption");
  const name = title.textContent;
  const last = Array.from(values, (value) => value.textContent);
  const unit = svg.querySelector(".unit").textContent;
  const [low, high, left, right] = svg.dataset.x.split(" ").map(Number);
  const nearest = (points, x) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const wanted = low + ((px - left) / (right - left)) * (high - low);
    const all = lines.filter((points) => points.length).flat();
    if (!all.length) return;
    const x = nearest(all, wanted)[0];
    const at = high > low ? left + ((x - low) / (high - low)) * (right - left) : (left + right) / 2;
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    lines.forEach((points, i) => {
      if (points.length) values[i].textContent = Number(nearest(points, x)[1].toPrecision(4));
    });
    title.textContent = `${name} at ${Number(x.toPrecision(6))} ${unit}`;
  });
  svg.addEventListener("pointerleave", () => {
    cursor.setAttribute("x1", -9);
    cursor.setAttribute("x2", -9);
    values.forEach((value, i) => (value.textContent = last[i]));
    title.textContent = name;
  });
}
