#!/bin/sh
# Copies the certificate and key that Caddy obtained for $NAME to where the SMTP door reads them, at start and after each
# renewal. Both files change in one step, by moving a link, so that the door never sees one without the other.
set -eu
umask 077
from=${FROM:-/data/caddy/certificates}
to=${TO:-/certificates}
group=${GROUP:-10001} # that of the user in our image

newest() { # a second authority, if Caddy had to fall back to one, has a folder of its own
	# shellcheck disable=SC2012 # host names need no quoting
	ls -t "$from"/*/"$NAME"/"$NAME".crt 2>/dev/null | head -n 1
}

hand_over() {
	chain=$1
	key=${chain%.crt}.key
	[ -s "$chain" ] && [ -s "$key" ] || return 0
	if cmp -s "$chain" "$to/current/chain.pem" && cmp -s "$key" "$to/current/key.pem"; then
		return 0
	fi
	pair=$(mktemp -d "$to/pair.XXXXXX")
	cp "$chain" "$pair/chain.pem"
	cp "$key" "$pair/key.pem"
	chgrp -R "$group" "$pair"
	chmod 750 "$pair"
	chmod 440 "$pair/chain.pem" "$pair/key.pem"
	ln -sfn "$(basename "$pair")" "$to/next"
	mv -fT "$to/next" "$to/current"
	echo "handed over $chain"
	for old in "$to"/pair.*; do
		[ "$old" = "$pair" ] || rm -rf "$old"
	done
}

trap 'exit 0' TERM INT
chmod 755 "$to"
while :; do
	chain=$(newest)
	[ -z "$chain" ] || hand_over "$chain"
	sleep "${EVERY:-60}" &
	wait $! || true
done
