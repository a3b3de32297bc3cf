// Deliveries of Stripe: new ones, repeated ones, and events that arrive before their customer is linked, which fail,
// are replayed after the link and are applied once.

import crypto from 'k6/crypto';
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Rate } from 'k6/metrics';
import { BASE, FACTOR, SECONDS, STATS, USERS, must, send, signIn, summary, unique } from './lib/api.js';

const SECRET = __ENV.STRIPE_WEBHOOK_SECRET || '';
const ADMIN = __ENV.ADMIN_TOKEN || 'dev-admin';

const succeeded = new Rate('webhook_success');
const recognised = new Rate('webhook_duplicate');
const retried = new Rate('webhook_retry');

// 409 is a replay while a worker processes the event, which the link made due.
http.setResponseCallback(http.expectedStatuses({ min: 200, max: 299 }, 409));

export const options = {
  scenarios: {
    deliver: {
      exec: 'deliverAndRepeat',
      executor: 'constant-vus',
      vus: USERS * FACTOR,
      duration: `${SECONDS}s`,
      gracefulStop: '10s',
    },
    too_early: {
      exec: 'tooEarly',
      executor: 'constant-vus',
      vus: Math.max(1, Math.round((USERS * FACTOR) / 4)),
      duration: `${SECONDS}s`,
      startTime: `${SECONDS + 2}s`,
      gracefulStop: '60s',
    },
  },
  thresholds: {
    checks: ['rate==1'],
    webhook_success: ['rate==1'],
    webhook_duplicate: ['rate==1'],
    webhook_retry: ['rate==1'],
    'http_req_failed{scenario:deliver}': ['rate==0'],
    'http_req_failed{scenario:too_early}': ['rate==0'],
    'http_req_duration{scenario:deliver}': ['p(99)<2000'],
    'http_reqs{scenario:deliver}': ['count>0'],
    'http_reqs{scenario:too_early}': ['count>0'],
  },
  summaryTrendStats: STATS,
  setupTimeout: '60s',
};

function event(id, customer, status) {
  const now = Math.floor(Date.now() / 1000);
  const price = { id: __ENV.STRIPE_PRICE_PRO || 'price_pro', object: 'price' };
  const item = { price, quantity: 1, current_period_start: now, current_period_end: now + 2592000 };
  const items = { object: 'list', has_more: false, data: [item] };
  const subscription = {
    id: `sub_${customer}`, object: 'subscription', customer, status, created: now, items,
    cancel_at_period_end: false,
  };
  return {
    id, object: 'event', type: 'customer.subscription.updated', api_version: '2026-10-28.endive',
    created: now, livemode: false, pending_webhooks: 1, data: { object: subscription },
  };
}

function deliver(body, name) {
  const text = JSON.stringify(body);
  const at = Math.floor(Date.now() / 1000);
  const signature = crypto.hmac('sha256', SECRET, `${at}.${text}`, 'hex');
  const headers = { 'content-type': 'application/json', 'stripe-signature': `t=${at},v1=${signature}` };
  return http.post(`${BASE}/webhooks/stripe`, text, { headers, tags: { name } });
}

export function setup() {
  const token = signIn(`${unique('payer')}@example.org`);
  // One customer for each event: events of one customer are applied one after the other, and no real customer has so many.
  const customers = Array.from({ length: USERS * FACTOR }, () => {
    const org = must(201, 'POST', '/orgs', token, { name: 'Pays' }).id;
    return must(200, 'POST', `/orgs/${org}/billing/customer`, token).customer_id;
  });
  return { token, customers };
}

export function deliverAndRepeat({ customers }) {
  const customer = customers[__VU % customers.length];
  const body = event(unique('evt'), customer, 'active');
  const first = deliver(body, 'deliver');
  const stored = first.status === 200 && first.json('duplicate') === false;
  succeeded.add(stored && ['processed', 'received'].includes(first.json('status')));
  const again = deliver(body, 'deliver again');
  recognised.add(again.status === 200 && again.json('duplicate') === true);
  check(first, { 'it is stored': () => stored });
}

export function tooEarly({ token }) {
  const org = must(201, 'POST', '/orgs', token, { name: 'Pays later' }).id;
  const customer = `cus_dev_${org.replaceAll('-', '')}`;
  const body = event(unique('evt'), customer, 'active');
  const early = deliver(body, 'deliver early');
  const stored = `/admin/webhook-events/${body.id}`;
  // Under load a worker applies it, after earlier events.
  let failed = early.status === 200 && early.json('status') === 'failed';
  for (let attempt = 0; early.status === 200 && !failed && attempt < 400; attempt += 1) {
    sleep(0.1);
    failed = must(200, 'GET', stored, ADMIN).status === 'failed';
  }

  must(200, 'POST', `/orgs/${org}/billing/customer`, token);
  let replay = send('POST', `${stored}/replay`, ADMIN, null, { name: 'replay' });
  // A worker may be processing it already, because the link made it due.
  for (let attempt = 0; replay.status === 409 && attempt < 50; attempt += 1) {
    sleep(0.1);
    replay = send('POST', `${stored}/replay`, ADMIN, null, { name: 'replay' });
  }
  // Under load the replay is applied a moment later as well.
  let before = must(200, 'GET', stored, ADMIN);
  for (let attempt = 0; before.status !== 'processed' && attempt < 400; attempt += 1) {
    sleep(0.1);
    before = must(200, 'GET', stored, ADMIN);
  }
  const applied = replay.status === 200 && before.status === 'processed';
  const billing = must(200, 'GET', `/orgs/${org}/billing`, token);
  // Replayed and delivered again, it changes nothing more.
  const second = send('POST', `${stored}/replay`, ADMIN, null, { name: 'replay' });
  const repeated = deliver(body, 'deliver again');
  const after = must(200, 'GET', stored, ADMIN);
  const once = second.status === 200 && repeated.json('duplicate') === true
    && after.processed_at === before.processed_at && after.deliveries === before.deliveries + 1;
  retried.add(failed && applied && billing.plan === 'pro' && once);
  check(early, {
    'it fails at first': () => failed,
    'it is applied on replay': () => applied && billing.plan === 'pro',
    'it is applied once': () => once,
  });
}

export function handleSummary(data) {
  return summary('webhooks', data);
}
