"""A long audit log, chained and laid out as the broker writes it, in a moment."""
import hashlib

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
HASH = "sha256:" + "0123456789abcdef" * 4


def ulid(number):
    text = ""
    for _ in range(22):
        text = ALPHABET[number % 32] + text
        number //= 32
    return "01K0" + text


SESSION = "ses_" + ulid(0)


def event(number, day, prev, kind="execution.succeeded", session=SESSION, more=""):
    """One line; `more` is put into its payload."""
    time = f"2026-01-{day:02d}T12:00:{number // 1000 % 60:02d}.{number % 1000:03d}Z"
    return (f'{{"seq":{number + 1},"audit_id":"aud_{ulid(number)}","timestamp":"{time}",'
            f'"event_type":"{kind}","session_id":"{session}","actor":{{"type":"agent","id":"claude-code"}},"payload":{{'
            f'"aileron.action.name":"list-recent-emails","aileron.action.version":"1.0.0","aileron.action.hash":"{HASH}",'
            f'"aileron.connector.fqn":"github://acme/aileron-google","aileron.connector.version":"1.0.0","aileron.connector.hash":"{HASH}",'
            '"aileron.connector.op":"list_recent_emails","aileron.execution.disposition":"unattended",'
            f'"aileron.binding.name":"oauth2/google/me","aileron.execution.duration_ms":212,"aileron.execution.retried":0{more}}},'
            f'"prev":"sha256:{prev}"}}').encode()


def write(folder, count, days=4, rare=None):
    """`count` events over some days into a folder that is made; `rare`: number → what event() takes of that one."""
    folder.mkdir(mode=0o700, parents=True)
    prev, rare = "0" * 64, rare or {}
    for day in range(days):
        file = folder / f"audit-2026-01-{day + 1:02d}.jsonl"
        with file.open("wb", buffering=1 << 20) as out:
            file.chmod(0o600)
            for number in range(day * count // days, (day + 1) * count // days):
                line = event(number, day + 1, prev, **rare.get(number, {}))
                prev = hashlib.sha256(line).hexdigest()
                out.write(line + b"\n")
