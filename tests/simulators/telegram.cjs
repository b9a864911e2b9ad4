// A Telegram to talk to: telegram-test-api (github.com/jehy/telegram-test-api), a server that nobody here wrote.
//
//   node telegram.cjs PORT      prints {"url": ...} on one line when it answers, ends with SIGTERM
//
// The library is a stand-in for lenient clients. Here it is held to the Bot API's own words where python-telegram-bot,
// a webhook or long polling need them:
//   - answers have the API's shapes (whole seconds, `true` for "done", objects and not their JSON as text)
//   - getUpdates keeps an update until a higher offset confirms it, waits for `timeout` seconds, and answers 409 while
//     a webhook is set; the library itself forgets an update as soon as it has shown it
//   - webhook requests carry the secret token, and come again until they are answered 2xx
//   - update and query ids do not begin at 1 at each start, as they do not at Telegram
//   - sendDocument, sendPhoto, sendVoice and sendAudio are messages whose text is the caption; the file is among the
//     call's parameters
//   - getFile and the address of a file give what a test put there
//   - methods that it lacks (leaveChat, sendChatAction, ...) answer `true`
// and it has what tests ask for beyond the library:
//   POST /simulator/update  {token, update}             any update, such as edited_message or my_chat_member
//   POST /simulator/fail    {method, status, body, times}  the next calls of a method are answered like this
//   POST /simulator/file    {id, base64}                what a file_id of an update stands for
//   GET  /simulator/calls                                every call of the Bot API so far: [{method, parameters, at}]
'use strict';

const path = require('path');
const library = path.dirname(require.resolve('telegram-test-api/package.json'));
const axios = require(require.resolve('axios', { paths: [library] }));
const { TelegramServer } = require('telegram-test-api/lib/telegramServer');

const LACKING = new Set(['leaveChat', 'sendChatAction', 'setMyCommands', 'setChatMenuButton']);
const RETRY_AFTER = 500; // milliseconds between two tries of a webhook
const WORTHWHILE = 60; // tries
const FILES = { sendDocument: 'document', sendPhoto: 'photo', sendVoice: 'voice', sendAudio: 'audio' };
const OBJECTS = ['link_preview_options', 'entities', 'reply_markup'];

const server = new TelegramServer({ port: Number(process.argv[2]), host: '127.0.0.1', storeTimeout: 600 });
server.updateId = 1 + Math.floor(Math.random() * 1e8);
server.callbackId = Date.now();

const calls = [];
const failures = [];
const files = {};

// The library counts on when an update was delivered, so two under way at once would share their ids.
const getCommonFields = server.getCommonFields.bind(server);
server.getCommonFields = (token) => {
  const fields = getCommonFields(token);
  server.updateId += 1;
  server.messageId += 1;
  server.callbackId += 1;
  return fields;
};

// Updates of kinds that the library does not know go through it wrapped as a message.
const formatUpdate = TelegramServer.formatUpdate;
TelegramServer.formatUpdate = (update) => strict(
  update.message && update.message.raw ? { update_id: update.updateId, ...update.message.raw } : formatUpdate(update),
);

// The Bot API's shapes, in a copy.
function strict(answer) {
  const copy = JSON.parse(JSON.stringify(answer));
  const mend = (value) => {
    if (value === null || typeof value !== 'object') return;
    if (typeof value.date === 'number' && value.date > 1e11) value.date = Math.floor(value.date / 1000);
    if (value.callback_query) value.callback_query.chat_instance ??= '1';
    for (const name of OBJECTS) if (typeof value[name] === 'string') value[name] = JSON.parse(value[name]);
    Object.values(value).forEach(mend);
  };
  mend(copy);
  return copy;
}

// getUpdates as the Bot API has it.
async function getUpdates(token, { offset = 0, timeout = 0, limit = 100 }) {
  const deadline = Date.now() + Number(timeout) * 1000;
  for (;;) {
    if (server.webhooks[token]) {
      const why = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first";
      return [409, { ok: false, error_code: 409, description: why }];
    }
    const theirs = (update) => update.botToken === token;
    const confirmed = (update) => theirs(update) && update.updateId < Number(offset);
    server.storage.userMessages = server.storage.userMessages.filter((update) => !confirmed(update));
    const waiting = server.storage.userMessages.filter(theirs).slice(0, Number(limit));
    if (waiting.length || Date.now() >= deadline) {
      return [200, { ok: true, result: waiting.map((update) => TelegramServer.formatUpdate(update)) }];
    }
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

// A file comes as multipart/form-data, which the library does not read: its fields, each value as text.
async function fields(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const [, boundary] = /boundary="?([^";]+)/.exec(req.headers['content-type']);
  const found = {};
  for (const part of Buffer.concat(chunks).toString('latin1').split(`--${boundary}`).slice(1, -1)) {
    const [head, ...content] = part.slice(2, -2).split('\r\n\r\n');
    const [, name] = /name="([^"]*)"/.exec(head);
    const [, filename] = /filename="([^"]*)"/.exec(head) || [];
    const bytes = Buffer.from(content.join('\r\n\r\n'), 'latin1');
    if (filename === undefined) found[name] = bytes.toString();
    else found[name] = name === 'document' ? { filename, value: bytes.toString() } : { filename, base64: bytes.toString('base64') };
  }
  return found;
}

// Stands before the library's own routes, behind its readers of bodies.
async function botApi(req, res, next) {
  const [, token, method] = /^\/bot([^/]+)\/(\w+)$/.exec(req.path) || [];
  if (!method) return next();
  if (FILES[method]) {
    req.body = await fields(req);
    req.body.text = req.body.caption;
    req.url = `/bot${token}/sendMessage`;
  }
  const parameters = { ...req.query, ...req.body };
  if (method !== 'getUpdates') calls.push({ method, parameters, at: Date.now() / 1000 });
  if (FILES[method]) {
    const id = `file-${calls.length}`;
    const file = { file_id: id, file_unique_id: id };
    if (method === 'sendDocument') file.file_name = parameters.document.filename;
    else Object.assign(file, method === 'sendPhoto' ? { width: 1, height: 1 } : { duration: 1 });
    req.body[FILES[method]] = method === 'sendPhoto' ? [file] : file;
  }
  const failure = failures.find((one) => one.method === method && one.times > 0);
  if (failure) {
    failure.times -= 1;
    return res.status(failure.status).json(failure.body);
  }
  if (method === 'getUpdates') {
    const [status, body] = await getUpdates(token, parameters);
    return res.status(status).json(body);
  }
  if (method === 'getFile') {
    const id = parameters.file_id;
    if (!files[id]) return res.status(400).json({ ok: false, error_code: 400, description: 'Bad Request: invalid file_id' });
    return res.json({ ok: true, result: { file_id: id, file_unique_id: id, file_path: `files/${id}` } });
  }
  if (LACKING.has(method)) return res.json({ ok: true, result: true });
  const send = res.json.bind(res);
  res.json = (body) => {
    if (body && body.ok && body.result === null) body.result = true;
    if (method === 'getMe') body.result.is_bot = true;
    return send(strict(body));
  };
  return next();
}

async function simulator(req, res, next) {
  if (req.path === '/simulator/calls') return res.json(calls);
  if (req.path === '/simulator/fail') {
    failures.push({ times: 1, ...req.body });
    return res.json({ ok: true });
  }
  if (req.path === '/simulator/file') {
    files[req.body.id] = Buffer.from(req.body.base64, 'base64');
    return res.json({ ok: true });
  }
  const [, wanted] = /^\/file\/bot[^/]+\/files\/(.+)$/.exec(req.path) || [];
  if (wanted) return files[wanted] ? res.send(files[wanted]) : res.status(404).json({});
  if (req.path === '/simulator/update') {
    res.json({ ok: true });
    return server.addUserMessage({ botToken: req.body.token, raw: req.body.update });
  }
  return next();
}

// The library posts to a webhook once, without its secret.
axios.interceptors.request.use((request) => {
  const webhook = Object.values(server.webhooks).find((one) => one.url === request.url);
  if (webhook && webhook.secret_token) request.headers['X-Telegram-Bot-Api-Secret-Token'] = webhook.secret_token;
  return request;
});
axios.interceptors.response.use(undefined, async (error) => {
  const request = error.config;
  request.tries = (request.tries || 1) + 1;
  if (request.tries > WORTHWHILE) throw error;
  await new Promise((resolve) => { setTimeout(resolve, RETRY_AFTER); });
  return axios(request);
});
process.on('unhandledRejection', (error) => { process.stderr.write(`gave up: ${error.message}\n`); });

for (const handler of [simulator, botApi]) {
  server.webServer.use(handler);
  const layers = server.webServer._router.stack;
  const last = layers.pop();
  layers.splice(layers.findIndex((layer) => layer.name === 'requestLogger') + 1, 0, last);
}

process.on('SIGTERM', () => process.exit(0));
server.start().then(() => process.stdout.write(`${JSON.stringify({ url: server.config.apiURL })}\n`));
