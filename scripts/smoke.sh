#!/usr/bin/env bash
# usage: [PROJECT_NAME=…] [BASE_URL=…] scripts/smoke.sh
#
# Whether a server that has just been brought up does its work, asked from outside with curl and jq: ready,
# migrated, signing in, orgs, caps, billing by webhook, projects, tasks. Ends at the first thing that is not
# as it should be, with 1. What it makes it deletes.
#
#   BASE_URL               where the server is (http://localhost:8000)
#   PROJECT_NAME           its Compose project, which has to be up: then the schema is looked at from within
#   DATABASE_URL           or its database: then by $MT_SERVER doctor (mt-server)
#   STRIPE_WEBHOOK_SECRET  what its webhooks are signed with, if they are
#   ACCESS_TOKEN           of a signed-in user, for a server that does not answer with links
#   MAIL_URL, MAIL_DIR     the mail catcher's API or Maildir: then the link must have been mailed

set -euo pipefail

BASE_URL=${BASE_URL:-http://localhost:8000}
BASE_URL=${BASE_URL%/}
run=$(date +%s)-$RANDOM
email=smoke-$run@smoke.example
steps=0
answer=$(mktemp "${TMPDIR:-/tmp}/mt-smoke.XXXXXX")
headers=$(mktemp "${TMPDIR:-/tmp}/mt-smoke.XXXXXX")
trap 'rm -f "$answer" "$headers"' EXIT

for tool in curl jq; do
    command -v "$tool" >/dev/null || {
        echo "smoke: needs $tool" >&2
        exit 1
    }
done

fail() {
    echo "smoke: FAILED: $*" >&2
    # Tokens do not belong in a log.
    if [[ -s $answer ]]; then
        jq -c 'walk(if type == "object" then with_entries(if .key | endswith("token") then .value = "…" else . end) else . end)' \
            "$answer" 2>/dev/null >&2 || head -c 500 "$answer" >&2
    fi
    exit 1
}

passed() {
    steps=$((steps + 1))
    echo "  ok  $*"
}

# METHOD PATH STATUS [BODY [CURL ARGUMENT...]]: calls, and expects a status. The body is in $answer.
call() {
    local method=$1 path=$2 expected=$3 body=${4-} status
    shift $(($# < 4 ? $# : 4))
    # Without an answer, that of the call before is not shown for it.
    : >"$answer"
    local arguments=(--silent --show-error --max-time 20 --output "$answer" --dump-header "$headers"
        --write-out '%{http_code}' --request "$method")
    # On standard input, since arguments can be read by every user of the machine.
    if [[ $body ]]; then
        arguments+=(--header 'content-type: application/json' --data-binary "$body")
    fi
    status=$(
        curl "${arguments[@]}" "$@" --config - "$BASE_URL$path" \
            <<<"${token:+header = \"authorization: Bearer $token\"}"
    ) || fail "$method $path: no answer from $BASE_URL"
    [[ $status == "$expected" ]] || fail "$method $path: expected $expected, got $status"
}

# What a jq expression says of the answer.
answered() { jq -er "$1" "$answer" || fail "the answer has no $1"; }

# A jq condition on the answer, and what it shows.
holds() {
    jq -e "$1" "$answer" >/dev/null || fail "$2: $1"
    passed "$2"
}

# Whether mt-server's doctor, run by the arguments, finds the schema up to date.
schema_by() {
    # It fails on anything else that is not as it should be; the schema is what is asked about here.
    "$@" doctor --json </dev/null >"$answer" 2>"$headers" || true
    if [[ ! -s $answer ]]; then fail "mt-server doctor does not answer: $(head -c 500 "$headers")"; fi
    jq -e '.checks[] | select(.name == "schema") | .health == "ok"' "$answer" >/dev/null 2>&1 ||
        fail "the schema is not up to date"
}

migrations() {
    if [[ ${PROJECT_NAME-} ]]; then
        schema_by docker compose --project-name "$PROJECT_NAME" exec -T api mt-server
        passed "the schema is up to date (mt-server doctor, in the project $PROJECT_NAME)"
    elif [[ ${DATABASE_URL-} ]] && command -v "${MT_SERVER:-mt-server}" >/dev/null; then
        schema_by "${MT_SERVER:-mt-server}"
        passed "the schema is up to date (mt-server doctor, by DATABASE_URL)"
    else
        # It does not start on a schema that is behind, and what follows uses all of it.
        passed "the schema is the server's: it would not be up otherwise"
    fi
}

sign_in() {
    if [[ ${ACCESS_TOKEN-} ]]; then
        token=$ACCESS_TOKEN
        return
    fi
    call POST /auth/request-link 202 "{\"email\":\"$email\"}"
    holds '.sent' "a link can be asked for"
    local link
    link=$(jq -r '.token // empty' "$answer")
    [[ $link ]] || fail "the answer has no link, as in production: give ACCESS_TOKEN"
    mailed
    call POST /auth/redeem 200 "{\"token\":\"$link\"}"
    token=$(answered .access_token)
    passed "the link signs in"
    local signed_in=$token
    token=
    call POST /auth/redeem 400 "{\"token\":\"$link\"}"
    holds '.code == "magic-link-used"' "and does so once"
    token=$signed_in
}

# Mail is sent after the answer: it is waited for, ten seconds at most.
mailed() {
    local tick
    [[ ${MAIL_URL-}${MAIL_DIR-} ]] || return 0
    for ((tick = 0; tick < 100; tick++)); do
        if [[ ${MAIL_DIR-} ]] && grep -qrF "$email" "$MAIL_DIR/new" 2>/dev/null; then break; fi
        if [[ ${MAIL_URL-} ]] &&
            curl --silent --max-time 5 "${MAIL_URL%/}/api/v1/search?query=to:$email" |
            jq -e '.messages_count > 0' >/dev/null 2>&1; then break; fi
        sleep 0.1
    done
    ((tick < 100)) || fail "no mail to $email came within ten seconds"
    passed "the link was mailed"
}

# Delivers an event as Stripe does, signed if there is a secret.
deliver() {
    local event=$1 at signature
    local arguments=(--header 'accept: application/json')
    if [[ ${STRIPE_WEBHOOK_SECRET-} ]]; then
        command -v openssl >/dev/null || fail "needs openssl to sign webhooks"
        at=$(date +%s)
        # Of several secrets, while one is being replaced, any does.
        signature=$(printf '%s.%s' "$at" "$event" |
            openssl dgst -sha256 -hmac "${STRIPE_WEBHOOK_SECRET%%,*}" | sed 's/.* //')
        arguments+=(--header "stripe-signature: t=$at,v1=$signature")
    fi
    token='' call POST /webhooks/stripe 200 "$event" "${arguments[@]}"
}

echo "smoke: $BASE_URL"
token=
call GET /health 200
holds '.status == "ok"' "the process is up"
call GET /ready 200
holds '.status == "ok" and .checks.db and (.checks | has("redis"))' "it is ready, and its database answers"
migrations
call GET /me 401
holds '.code == "unauthenticated"' "strangers are not let in"
for header in x-request-id x-content-type-options content-security-policy; do
    grep -qi "^$header:" "$headers" || fail "an answer without $header"
done
passed "answers carry a request id and the security headers"
if [[ ${STRIPE_WEBHOOK_SECRET-} ]]; then
    call POST /webhooks/stripe 400 '{"id":"evt_unsigned","type":"x"}'
    holds '.code == "invalid-signature"' "a webhook that is not signed is refused"
fi
sign_in
call GET /me 200
holds '.id and (.memberships | type == "array")' "the signed-in user has an id and memberships"

call POST /orgs 201 "{\"name\":\"Smoke $run\"}"
org=$(answered .id)
holds '.plan == "free" and .role == "owner"' "an org is made, on the free plan"
for number in 1 2 3; do
    call POST "/orgs/$org/projects" 201 "{\"name\":\"Project $number\"}"
done
call POST "/orgs/$org/projects" 402 '{"name":"Project 4"}'
holds '.code == "cap-reached" and .cap == 3' "which has room for three projects"

call POST "/orgs/$org/billing/customer" 200
customer=$(answered .customer_id)
if [[ $customer == cus_dev_* ]]; then
    created=$(date +%s)
    event='{"id":"evt_smoke_'$run'","object":"event","type":"customer.subscription.updated","created":'$created',
        "livemode":false,"data":{"object":{"id":"sub_smoke_'$run'","object":"subscription","customer":"'$customer'",
        "status":"active","items":{"object":"list","data":[{"price":{"id":"'${STRIPE_PRICE_PRO:-price_pro}'"}}]}}}}'
    deliver "$event"
    holds '.duplicate == false' "Stripe's event is taken"
    for ((tick = 0; tick < 100; tick++)); do
        call GET "/orgs/$org" 200
        if jq -e '.plan == "pro"' "$answer" >/dev/null; then break; fi
        sleep 0.1
    done
    holds '.plan == "pro" and .subscription_status == "active"' "and puts the org on the plan pro"
    deliver "$event"
    holds '.duplicate' "the same event again changes nothing"
    call POST "/orgs/$org/projects" 201 '{"name":"Project 4"}'
    passed "a fourth project has room now"
else
    call GET "/orgs/$org/projects" 200
    echo "  --  customers are real ones here: no event is made up"
fi
project=$(jq -er '.id // .items[0].id' "$answer")
call POST "/orgs/$org/projects/$project/tasks" 201 '{"title":"Look at the smoke"}'
task=$(answered .id)
call PATCH "/orgs/$org/tasks/$task" 200 '{"status":"done"}'
call GET "/orgs/$org/projects/$project/tasks?status=done" 200
holds ".items | length == 1 and .[0].id == \"$task\"" "a task is made, done and listed"
call GET "/orgs/00000000-0000-7000-8000-000000000000" 404
holds '.code == "not-found"' "what is not there is not found"
call DELETE "/orgs/$org" 204
call GET "/orgs/$org" 404
passed "and the org is gone again"
echo "smoke: all $steps checks passed"
