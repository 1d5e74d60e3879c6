// Calls to the warden's API (docs/openapi.yaml). Every failure is an ApiError with words for people.

const PATIENCE = 15000; // ms; the api itself gives up on the warden after 10 s

export class ApiError extends Error {
  constructor(status, code, message, retryAfter = 0) {
    super(message);
    this.status = status; // 0: no answer
    this.code = code;
    this.retryAfter = retryAfter; // seconds
  }
}

const GENERIC = {
  401: "you are not logged in",
  403: "you may not do this",
  404: "this is not there (any more)",
  409: "this has been decided already",
  413: "this is too long",
  429: "too many attempts; wait a little",
  503: "the warden is away",
  504: "the warden did not answer in time; what you asked for may have happened",
};

let csrf = null;
let logins = 0; // an answer to a call of an earlier session says nothing about this one
let onLogout = () => {};

export function setCsrf(token) {
  csrf = token;
  logins += 1;
}

// Called when the warden says that nobody is logged in.
export function whenLoggedOut(callback) {
  onLogout = callback;
}

async function failure(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // an answer without words
  }
  const words = typeof said.error === "string" && said.error ? said.error
    : GENERIC[response.status] ?? `the warden answered ${response.status}`;
  return new ApiError(response.status, String(said.code ?? ""), words,
    Number(response.headers.get("Retry-After") ?? 0));
}

export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrf) headers["X-Clawrden-CSRF"] = csrf;
  const login = logins;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw new ApiError(0, "unreachable", "the warden cannot be reached");
  }
  if (!response.ok) {
    const error = await failure(response);
    if (error.status === 401 && path !== "/api/login" && login === logins) onLogout();
    throw error;
  }
  try {
    return await response.json();
  } catch {
    throw new ApiError(0, "unreadable", "the answer broke off");
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);
