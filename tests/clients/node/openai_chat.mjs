// The unmodified "openai" package for Node: whole, streamed, tools, errors and its own retries.
import assert from "node:assert/strict";
import OpenAI from "openai";

const { SIGNALBOX_URL, SIGNALBOX_KEY, SIGNALBOX_ROUTE: model } = process.env;
const baseURL = `${SIGNALBOX_URL}/v1`;
const client = new OpenAI({ baseURL, apiKey: SIGNALBOX_KEY, maxRetries: 0 });
const messages = [
  { role: "user", content: "Prove step by step that the sum of two odd integers is even, and " +
    "discuss with three examples why the argument fails for numbers that are not integers." },
];
const tools = [{ type: "function", function: { name: "get_weather", parameters: {
  type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];

const checks = {
  async whole_answer_has_text_and_usage() {
    const answer = await client.chat.completions.create({ model, messages });
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.total_tokens > 0);
  },
  async stream_joins_to_the_whole_answer() {
    const whole = await client.chat.completions.create({ model, messages });
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    assert.equal(text, whole.choices[0].message.content);
  },
  async demanded_tool_is_called() {
    const answer = await client.chat.completions.create(
      { model, messages, tools, tool_choice: "required" });
    const call = answer.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    assert.ok(JSON.parse(call.function.arguments).city);
  },
  async errors_are_the_exceptions_that_the_package_has_for_them() {
    await assert.rejects(client.chat.completions.create({ model: "no-such-route", messages }),
      (problem) => problem instanceof OpenAI.NotFoundError && problem.code === "model_not_found");
    const wrong = new OpenAI({ baseURL, apiKey: "sk-wrong", maxRetries: 0 });
    await assert.rejects(wrong.chat.completions.create({ model, messages }),
      (problem) => problem instanceof OpenAI.AuthenticationError);
  },
  async final_refusal_is_not_tried_again_by_the_package() {
    let calls = 0;
    const counting = (...words) => { calls += 1; return fetch(...words); };
    const eager = new OpenAI({ baseURL, apiKey: SIGNALBOX_KEY, maxRetries: 2, fetch: counting });
    await assert.rejects(eager.chat.completions.create({ model, messages: [] }));
    assert.equal(calls, 1);
  },
  async client_timeout_is_the_packages_own_exception() {
    await assert.rejects(
      client.chat.completions.create({ model, messages }, { timeout: 50 }),
      (problem) => problem instanceof OpenAI.APIConnectionTimeoutError);
  },
  async response_is_whole_and_streamed_alike() {
    const whole = await client.responses.create({ model, input: messages[0].content });
    const stream = await client.responses.create({ model, input: messages[0].content, stream: true });
    let text = "";
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.ok(whole.output_text);
    assert.equal(text, whole.output_text);
  },
  async models_are_listed() {
    const names = [];
    for await (const entry of client.models.list()) names.push(entry.id);
    assert.ok(names.includes(model));
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log("ok", name);
  } catch (problem) {
    failed += 1;
    console.log("FAILED", name, problem);
  }
}
process.exit(failed ? 1 : 0);
