/*
 * The daemon's API as this page uses it. The key lives in sessionStorage of this origin and nowhere else; it is sent as
 * Authorization, never in an address.
 */
const KEY = "aileron.key";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? body?.message ?? (status ? `the daemon answered ${status}` : "the daemon does not answer"));
    this.status = status;
    this.body = body;
    this.code = body?.error?.code ?? body?.code;
    this.hint = body?.error?.hint ?? body?.hint;
  }
}

let signedOut = () => {};

export const key = () => sessionStorage.getItem(KEY);
export const setKey = value => value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY);
export const onSignedOut = fn => { signedOut = fn; };

async function send(method, path, body, headers) {
  const options = { method, headers, credentials: "omit", cache: "no-store", redirect: "error" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer, json = null;
  try {
    answer = await fetch(path, options);
    json = await answer.json();
  } catch {
    if (!answer)
      throw new ApiError(0, null);
  }
  if (!answer.ok)
    throw new ApiError(answer.status, json);
  return json;
}

export async function call(method, path, body) {
  const used = key();
  try {
    return await send(method, path, body, { Authorization: `Bearer ${used}` });
  } catch (error) {
    if (error.status === 401 && used === key()) {
      setKey(null);
      signedOut();
    }
    throw error;
  }
}

export const get = path => call("GET", path);

/* Trades a one-time code for the key. */
export async function signIn(code) {
  setKey((await send("POST", "/v1/web/login", { code }, {})).key);
}
