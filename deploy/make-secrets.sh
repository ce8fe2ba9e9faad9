#!/bin/sh
# Make the secrets of compose.yaml once, in deploy/secrets, which nobody else can enter. Nothing is ever replaced.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)/secrets
mkdir -p "$here"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

keep() { # name, text
    if [ ! -e "$here/$1" ]; then
        printf '%s\n' "$2" > "$here/$1"
        chmod 644 "$here/$1" # the containers' users read it; the directory keeps everybody else out
    fi
}

keep master_key "$(random)="
keep postgres_password "$(random)"
keep redis_password "$(random)"
keep database_url "postgresql://llmcore:$(cat "$here/postgres_password")@postgres:5432/llmcore"
keep redis_url "redis://:$(cat "$here/redis_password")@redis:6379/0"
keep openai_api_key "${OPENAI_API_KEY:-put your key here}"

echo "secrets are in $here; keep a copy of master_key elsewhere: without it stored keys cannot be read"
