"""Values that no message may show."""
from .texts import to_text

SECRETS = []  # values that no message may show: the session and Glance's token


def keep_secret(value):
    if value and value.strip():
        SECRETS.append(to_text(value).strip())
    return value


def hide_secrets(message):
    message = to_text(message)
    for value in SECRETS:
        message = message.replace(value, '(hidden)')
    return message


def without_half_a_secret(text):
    """Of a text that was cut off where nobody knows."""
    for value in SECRETS:
        for size in range(len(value) - 1, 3, -1):
            if text.endswith(value[:size]):
                return text[:-size]
    return text
