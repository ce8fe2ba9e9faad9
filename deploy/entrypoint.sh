#!/bin/sh
# Secrets by file: LLMCORE_..._FILE and ..._API_KEY_FILE name a file, whose text becomes the variable without "_FILE".
set -eu

for name in $(env | sed -n -e 's/^\(LLMCORE_[A-Z0-9_]*\)_FILE=.*/\1/p' -e 's/^\([A-Z0-9_]*_API_KEY\)_FILE=.*/\1/p' | sort -u); do
    file=$(printenv "${name}_FILE")
    if [ ! -r "$file" ]; then
        echo "llmcore: ${name}_FILE: cannot read $file as user $(id -u)" >&2
        exit 2
    fi
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}_FILE"
done

exec "$@"
