// The `openai` package for Node against the server; copied beside its packages and run by benchmarks.clients.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const MODEL = "gpt-4o-mini", LARGER = "gpt-4o"; // as in checks.py
const client = new OpenAI({ maxRetries: 0, timeout: 120_000 });
const short = { model: MODEL, temperature: 0, messages: [{ role: "user", content: "Say hello." }] };
const Greeting = z.object({ polite: z.boolean() });
const checks = [];
const capability = (name, check) => checks.push([name, check]);

function assert(condition, words) {
  if (!condition) throw new Error(`not so: ${words}`);
}

capability("chat.completions.create", async () => {
  const found = await client.chat.completions.create({ ...short, max_tokens: 8 });
  assert(typeof found.choices[0].message.content === "string" && found.usage, "a text and its usage");
});

capability("chat.completions.create, stream", async () => {
  let chunks = 0;
  for await (const chunk of await client.chat.completions.create({ ...short, max_tokens: 8, stream: true })) {
    chunks += chunk.choices.length;
  }
  assert(chunks > 1, "several chunks");
});

capability("chat.completions.stream, finalContent", async () => {
  const found = await client.chat.completions.stream({ ...short, max_tokens: 8 }).finalContent();
  assert(typeof found === "string", "a text");
});

capability("chat.completions.parse with zod", async () => {
  const response_format = zodResponseFormat(Greeting, "greeting");
  const found = await client.chat.completions.parse({ ...short, max_tokens: 150, response_format });
  assert(typeof found.choices[0].message.parsed.polite === "boolean", "a parsed answer");
});

capability("chat.completions.runTools", async () => {
  const cities = [];
  const weather = zodFunction({
    name: "weather",
    description: "The weather in a city.",
    parameters: z.object({ city: z.enum(["Paris", "Rome"]) }),
    function: ({ city }) => `It is sunny in ${cities[cities.push(city) - 1]}.`,
  });
  const messages = [{ role: "user", content: "What is the weather in Paris?" }];
  const tool_choice = { type: "function", function: { name: "weather" } }; // one call, as SmolLM2 may call nothing
  const asked = { model: LARGER, temperature: 0, max_tokens: 100, messages, tools: [weather], tool_choice };
  const runner = client.chat.completions.runTools(asked);
  await runner.done();
  assert(cities.length > 0 && runner.messages.some((each) => each.role === "tool"), "the function was called");
});

capability("responses.create, stream", async () => {
  const asked = { model: MODEL, input: "Say hello.", max_output_tokens: 8 };
  const first = await client.responses.create(asked);
  assert(typeof first.output_text === "string", "a text");
  await client.responses.create({ ...asked, previous_response_id: first.id });
  let last;
  for await (const event of await client.responses.create({ ...asked, stream: true })) last = event.type;
  assert(["response.completed", "response.incomplete"].includes(last), `the last event, ${last}`);
});

capability("responses.parse with zod", async () => {
  const text = { format: zodTextFormat(Greeting, "greeting") };
  const found = await client.responses.parse({ model: MODEL, input: "Say hello.", max_output_tokens: 150, text });
  assert(typeof found.output_parsed.polite === "boolean", "a parsed answer");
});

capability("embeddings.create (base64)", async () => {
  const found = await client.embeddings.create({ model: MODEL, input: ["a b", "c"], dimensions: 16 });
  assert(found.data.every((each) => each.embedding.length === 16), "16 numbers each");
});

capability("files.create, fine_tuning.jobs.create, cancel", async () => {
  const turns = [...short.messages, { role: "assistant", content: "Hello." }];
  const rows = Array(10).fill(JSON.stringify({ messages: turns })).join("\n");
  const file = await OpenAI.toFile(new TextEncoder().encode(rows), "rows.jsonl");
  const uploaded = await client.files.create({ file, purpose: "fine-tune" });
  const job = await client.fineTuning.jobs.create({ model: MODEL, training_file: uploaded.id });
  const events = await client.fineTuning.jobs.listEvents(job.id);
  assert(events.data.length > 0, "events");
  assert((await client.fineTuning.jobs.cancel(job.id)).status === "cancelled", "cancelled");
});

capability("moderations.create", async () => {
  try {
    await client.moderations.create({ input: "Say hello." });
  } catch (error) {
    assert(error.status === 404, error);
    return error.error.message;
  }
  throw new Error("it was not refused");
});

for (const [name, check] of checks) {
  let state = "works", words = "";
  try {
    words = (await check()) ?? "";
    if (words) state = "refused";
  } catch (error) {
    console.error(error);
    [state, words] = ["FAILS", String(error)];
  }
  console.log(`${name}\t${state}\t${words.split(/\s+/).join(" ").slice(0, 300)}`);
}
