#!/usr/bin/env bash
# TLS and logins, as each client does them: secure.sh TARGET VENV JARS. Certificates are made for the occasion; a broker of its own
# listens in four ways.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
towpath=$1/release/towpath
venv=$2
jars=$3
user=alice
# What must be escaped somewhere: in SASL, in properties, in shells.
password='wonder land,=1'
failed=0

work=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

check() { # name, what must stand in the answer, answer
  if grep -qE -- "$2" <<<"$3"; then echo "  ok      $1"; else echo "  FAILED  $1: $3"; failed=1; fi
}

make_key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$work/$1.key"; }
make_key authority
openssl req -x509 -new -key "$work/authority.key" -days 2 -subj "/CN=compat authority" -out "$work/authority.pem"
sign() { # name, extension
  make_key "$1"
  openssl req -new -key "$work/$1.key" -subj "/CN=$1" |
    openssl x509 -req -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial -days 2 -extfile <(echo "$2") -out "$work/$1.pem" 2>/dev/null
}
sign server "subjectAltName=DNS:localhost,IP:127.0.0.1"
sign client "extendedKeyUsage=clientAuth"
cat "$work/client.key" "$work/client.pem" >"$work/client-both.pem"

echo "$password" | "$towpath" users add "$user" --data-dir "$work/data" >/dev/null
tls=(--kafka-tls-cert "$work/server.pem" --kafka-tls-key "$work/server.key")
serve() { # name, flags
  "$towpath" log "$work/$1" "${@:2}" "${tls[@]}" >"$work/$1.out" 2>"$work/$1.err" &
  pids+=($!)
  for _ in $(seq 300); do
    ! grep -q '^Kafka' "$work/$1.out" || return 0
    sleep 0.1
  done
  cat "$work/$1.err"
  exit 3
}
serve data --kafka 'PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0'
serve mutual --kafka 'SSL://127.0.0.1:0' --kafka-tls-client-ca "$work/authority.pem"
address() { tr ', ' '\n\n' <"$work/$1.out" | sed -n "s,^$2://,,p"; }

ssl=$(address data SSL)
sasl=$(address data SASL_PLAINTEXT)
both=$(address data SASL_SSL)
mutual=$(address mutual SSL)
CA="$work/authority.pem" SSL=$ssl SASL_PLAINTEXT=$sasl SASL_SSL=$both MUTUAL=$mutual CLIENT=$work/client USER_NAME=$user PASSWORD=$password \
  "$venv/bin/python" "$here/secure.py" || failed=1

# kcat: the protocol, the mechanism, and how it says that a password is wrong.
trip() { # topic, options
  echo round | timeout 30 kcat -q "${@:2}" -P -t "$1" 2>&1
  timeout 30 kcat -q "${@:2}" -C -t "$1" -o beginning -e 2>&1
}
trust=(-X ssl.ca.location="$work/authority.pem" -X ssl.endpoint.identification.algorithm=https)
check "kcat: TLS" "^round$" "$(trip kcat-tls -b "$ssl" -X security.protocol=SSL "${trust[@]}")"
check "kcat: TLS with a certificate of its own" "^round$" "$(trip kcat-mutual -b "$mutual" -X security.protocol=SSL "${trust[@]}" \
  -X ssl.certificate.location="$work/client.pem" -X ssl.key.location="$work/client.key")"
for mechanism in PLAIN SCRAM-SHA-256 SCRAM-SHA-512; do
  login=(-X sasl.mechanism="$mechanism" -X sasl.username="$user" -X sasl.password="$password")
  check "kcat: $mechanism" "^round$" "$(trip "kcat-$mechanism" -b "$sasl" -X security.protocol=SASL_PLAINTEXT "${login[@]}")"
  check "kcat: $mechanism over TLS" "^round$" "$(trip "kcat-tls-$mechanism" -b "$both" -X security.protocol=SASL_SSL "${trust[@]}" "${login[@]}")"
done
check "kcat: a wrong password is told as one" "the user or the password is wrong" \
  "$(timeout 10 kcat -b "$sasl" -X security.protocol=SASL_PLAINTEXT -X sasl.mechanism=PLAIN -X sasl.username=$user -X sasl.password=no -L 2>&1 || true)"

# The Java client.
if [ -d "$jars" ]; then
  tool() { timeout 120 java -Xmx256m -cp "$jars/*" "$@" 2>/dev/null; }
  java_trip() { # name, address, properties on stdin
    cat >"$work/client.properties"
    echo round | tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$2" --topic "$1" --command-config "$work/client.properties" >/dev/null
    tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$2" --topic "$1" --from-beginning --max-messages 1 \
      --timeout-ms 60000 --command-config "$work/client.properties"
  }
  store="ssl.truststore.type=PEM
ssl.truststore.location=$work/authority.pem"
  check "java: TLS" "^round$" "$(java_trip java-tls "$ssl" <<<"security.protocol=SSL
$store")"
  check "java: TLS with a certificate of its own" "^round$" "$(java_trip java-mutual "$mutual" <<<"security.protocol=SSL
ssl.keystore.type=PEM
ssl.keystore.location=$work/client-both.pem
$store")"
  for mechanism in PLAIN SCRAM-SHA-256 SCRAM-SHA-512; do
    module=org.apache.kafka.common.security.scram.ScramLoginModule
    [ "$mechanism" != PLAIN ] || module=org.apache.kafka.common.security.plain.PlainLoginModule
    login="sasl.mechanism=$mechanism
sasl.jaas.config=$module required username=\"$user\" password=\"$password\";"
    check "java: $mechanism" "^round$" "$(java_trip "java-$mechanism" "$sasl" <<<"security.protocol=SASL_PLAINTEXT
$login")"
    check "java: $mechanism over TLS" "^round$" "$(java_trip "java-tls-$mechanism" "$both" <<<"security.protocol=SASL_SSL
$store
$login")"
  done
fi

check "who comes in wrongly is told of in the log" "a Kafka client cannot connect" "$(cat "$work/data.err")"
check "and no password is" "clean" "$(grep -q "wonder" "$work/data.err" "$work/data/kafka-users.json" && echo dirty || echo clean)"
exit $failed
