// API requests: request a sign-in link, create a task, list tasks. One kind after the other, each with
// USERS × FACTOR virtual users for SECONDS.

import { check } from 'k6';
import { FACTOR, SECONDS, STATS, USERS, must, proOrg, send, signIn, summary, unique } from './lib/api.js';

const NAMES = ['request_link', 'create_task', 'list_tasks'];
// The number of tasks from which pages are read.
const TASKS = 1000;

function scenario(exec, place) {
  return {
    exec,
    executor: 'constant-vus',
    vus: USERS * FACTOR,
    duration: `${SECONDS}s`,
    startTime: `${place * (SECONDS + 2)}s`,
    gracefulStop: '2s',
  };
}

const thresholds = { checks: ['rate==1'] };
for (const name of NAMES) {
  thresholds[`http_req_failed{scenario:${name}}`] = ['rate==0'];
  // Generous: this finds errors. `make bench` measures speed.
  thresholds[`http_req_duration{scenario:${name}}`] = ['p(99)<2000'];
  thresholds[`http_reqs{scenario:${name}}`] = ['count>0'];
}

export const options = {
  scenarios: {
    request_link: scenario('requestLink', 0),
    create_task: scenario('createTask', 1),
    list_tasks: scenario('listTasks', 2),
  },
  thresholds,
  summaryTrendStats: STATS,
  setupTimeout: '120s',
};

export function setup() {
  const token = signIn(`${unique('load')}@example.org`);
  const org = proOrg(token, 'Load');
  const busy = must(201, 'POST', `/orgs/${org}/projects`, token, { name: 'Grows' }).id;
  const full = must(201, 'POST', `/orgs/${org}/projects`, token, { name: 'Is read' }).id;
  for (let number = 0; number < TASKS; number += 1) {
    must(201, 'POST', `/orgs/${org}/projects/${full}/tasks`, token, { title: `Task ${number}` });
  }
  return { token, org, busy, full };
}

export function requestLink() {
  const email = `${unique('guest')}@example.org`;
  const answer = send('POST', '/auth/request-link', null, { email }, { name: 'request link' });
  check(answer, { 'a link is on its way': (got) => got.status === 202 && got.json('sent') === true });
}

export function createTask({ token, org, busy }) {
  const path = `/orgs/${org}/projects/${busy}/tasks`;
  const answer = send('POST', path, token, { title: 'Made under load' }, { name: 'create task' });
  check(answer, { 'a task is made': (got) => got.status === 201 && got.headers.Location !== undefined });
}

export function listTasks({ token, org, full }) {
  const path = `/orgs/${org}/projects/${full}/tasks?limit=20`;
  const answer = send('GET', path, token, null, { name: 'list tasks' });
  check(answer, { 'twenty are listed': (got) => got.status === 200 && got.json('items').length === 20 });
}

export function handleSummary(data) {
  return summary('api', data);
}
