// Looks at the page of plugserverd in a real browser, as the test that starts it has said
// by the environment. What is wrong is said on stderr, and ends it with 1.
import assert from "node:assert/strict";
import {renameSync, writeFileSync} from "node:fs";
import {chromium} from "playwright-core";

const {PAGE, CHROMIUM, SHOTS, DROP_FROM, DROP_TO, REFUSED, WRONG_FIX} = process.env;
const browser = await chromium.launch({executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]});

// visit opens the page, and notes whatever a browser complains of or asks elsewhere.
async function visit(options) {
  const context = await browser.newContext({viewport: {width: 1180, height: 900}, ...options});
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const wrong = [];
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) wrong.push(m.text()); });
  page.on("pageerror", (e) => wrong.push(String(e)));
  page.on("dialog", (d) => { wrong.push("dialog " + d.message()); d.dismiss(); });
  page.on("request", (r) => { if (!r.url().startsWith(PAGE)) wrong.push("asks " + r.url()); });
  const answer = await page.goto(PAGE);
  assert.equal(answer.status(), 200);
  return {page, end: async () => { await context.close(); assert.deepEqual(wrong, []); }};
}

const handler = (page, name) => page.locator(`.handlers > li[data-name="${name}"]`);
const shoot = (page, name) => page.screenshot({path: `${SHOTS}/${name}.png`, fullPage: true});

// As it happens: one that is dropped appears, with its event, and one that is refused with
// its fix; what the operator has opened stays open.
{
  const {page, end} = await visit({colorScheme: "light"});
  await page.locator("#feed.well").waitFor();
  await handler(page, "users").locator("summary").click();
  renameSync(DROP_FROM, DROP_TO);
  await handler(page, "dropped").locator(".state", {hasText: "live"}).waitFor();
  await page.locator("#log > li.new", {hasText: "live: dropped"}).waitFor();
  writeFileSync(REFUSED, "it is no plugin");
  await handler(page, "wrong").locator(".refusal .fix", {hasText: WRONG_FIX}).waitFor();
  await page.locator("#log > li.new", {hasText: "wrong"}).locator(".fix", {hasText: WRONG_FIX}).waitFor();
  assert.ok(await handler(page, "users").locator("details[open] li b", {hasText: "serves"}).isVisible());
  assert.ok((await page.title()).includes("1 refused"));
  await handler(page, "users").locator("polyline").first().waitFor(); // a step of time is over
  await shoot(page, "light");

  // In dark, and narrow, it is all there, and nothing sticks out.
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.emulateMedia({colorScheme: "dark"});
  assert.notEqual(await ground(), light);
  await shoot(page, "dark");
  await page.setViewportSize({width: 360, height: 740});
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `it can be scrolled sideways by ${over} px`);
  for (const name of ["users", "dropped", "wrong"]) assert.ok(await handler(page, name).isVisible(), name);
  await shoot(page, "narrow-dark");
  await end();
}

// Without script it is all there, too.
{
  const {page, end} = await visit({javaScriptEnabled: false, viewport: {width: 360, height: 740}});
  for (const name of ["users", "dropped", "wrong"]) assert.ok(await handler(page, name).isVisible(), name);
  assert.ok(await handler(page, "wrong").locator(".refusal .fix", {hasText: WRONG_FIX}).isVisible());
  await handler(page, "users").locator("summary").click();
  assert.ok(await handler(page, "users").locator("details li").first().isVisible());
  assert.ok(await page.locator("#log > li", {hasText: "live: dropped"}).isVisible());
  assert.ok(await page.locator("noscript").isVisible());
  await shoot(page, "no-script");
  await end();
}
await browser.close();
