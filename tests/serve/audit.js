(() => {
  const bad = [];
  const say = (what, node) => bad.push(what + (node ? ": " + node.outerHTML.slice(0, 160) : ""));
  if (!document.documentElement.lang) say("no language");
  if (!document.title.trim()) say("no title");
  if (document.querySelectorAll("main").length !== 1) say("not one main landmark");
  if (document.querySelectorAll("h1").length !== 1) say("not one first heading");
  if (document.querySelector("script")) say("a script", document.querySelector("script"));
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) say("a heading that leaves one out", heading);
    if (!heading.textContent.trim()) say("an empty heading", heading);
    level = own;
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.querySelector("thead th")) say("a table without headers", table);
  }
  for (const header of document.querySelectorAll("th")) {
    if (!header.scope) say("a header of nothing", header);
  }
  for (const link of document.querySelectorAll("a, button")) {
    if (!(link.getAttribute("aria-label") || link.textContent).trim()) say("a link without a name", link);
  }
  for (const picture of document.querySelectorAll("svg, img")) {
    const named = picture.getAttribute("aria-label") || picture.getAttribute("alt") || picture.querySelector("title");
    if (!named && picture.getAttribute("aria-hidden") !== "true") say("a picture without a name", picture);
  }
  const ids = [...document.querySelectorAll("[id]")].map(node => node.id);
  if (new Set(ids).size !== ids.length) say("an id twice");
  if (document.documentElement.scrollWidth > window.innerWidth) {
    say("wider than the screen: " + document.documentElement.scrollWidth + " of " + window.innerWidth);
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  const over = colours => {
    paint.clearRect(0, 0, 1, 1);
    for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
    return [...paint.getImageData(0, 0, 1, 1).data];
  };
  const light = ([red, green, blue]) => {
    const one = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * one(red) + 0.7152 * one(green) + 0.0722 * one(blue);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.getClientRects().length) continue;
    if (node.closest("title, style")) continue;
    const behind = [];
    for (let up = node; up; up = up.parentElement) behind.unshift(getComputedStyle(up).backgroundColor);
    const style = getComputedStyle(node);
    const ground = over(behind);
    if (ground[3] !== 255) { say("no background", node); continue; }
    const text = over([...behind, node instanceof SVGElement ? style.fill : style.color]);
    const [low, high] = [light(ground), light(text)].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) say("contrast " + ratio.toFixed(2), node);
  }
  return bad;
})()
