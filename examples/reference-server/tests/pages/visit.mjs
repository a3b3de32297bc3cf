// usage: node visit.mjs PACKAGES URL STEPS
//
// Opens URL in jsdom (from PACKAGES) as a browser would, with its script running, and does what STEPS says:
// a JSON array of {"fill": SELECTOR, "with": TEXT}, {"submit": SELECTOR}, {"press": SELECTOR} and
// {"until": TEXT}, which waits until the page says TEXT. Prints what the page says in the end, as JSON.

import { createRequire } from "node:module";

const [packages, url, steps] = process.argv.slice(2);
const { JSDOM, VirtualConsole } = createRequire(`${packages}/`)("jsdom");

const errors = [];
const asked = [];
const virtualConsole = new VirtualConsole();
virtualConsole.on("jsdomError", (error) => errors.push(error.message));
const dom = await JSDOM.fromURL(url, {
  runScripts: "dangerously",
  virtualConsole,
  beforeParse(window) {
    window.fetch = (path, options) => {
      asked.push(`${options.method} ${new URL(path, window.location.href).pathname}`);
      return fetch(new URL(path, window.location.href), options);
    };
  },
});
const { document, Event } = dom.window;
const found = (selector) => {
  const element = document.querySelector(selector);
  if (!element) throw new Error(`there is no ${selector}`);
  return element;
};
const said = () => `${found("output").textContent} ${document.querySelector("pre")?.textContent ?? ""}`;
const deadline = Date.now() + 20_000;

for (const step of JSON.parse(steps)) {
  if (step.fill) found(step.fill).value = step.with;
  if (step.submit) found(step.submit).dispatchEvent(new Event("submit", { cancelable: true }));
  if (step.press) found(step.press).click();
  while (step.until && !said().includes(step.until)) {
    if (Date.now() > deadline) throw new Error(`the page says: ${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
const value = (selector) => document.querySelector(selector)?.value ?? null;
const link = value("[name=link]");
const { href } = dom.window.location;
const hidden = [...document.querySelectorAll("[hidden]")].map((element) => element.id || element.tagName);
console.log(JSON.stringify({ said: said(), link, href, hidden, asked, errors }));
dom.window.close();
