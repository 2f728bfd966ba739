"""Phone numbers in the one form that providers take: E.164, such as +390612345678."""


def normalised(number: str, region: str) -> str:
    """The number in E.164, or "" if there can be no such number. `region`: the country of one that is written
    without its code, as two letters; "": such a number is none.
    """
    import phonenumbers  # 25 ms and its tables, which a process that only reads settings needs not

    try:
        parsed = phonenumbers.parse(number, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(parsed):
        return ""
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def is_region(region: str) -> bool:
    """Whether it is a country that has numbers."""
    import phonenumbers

    return region in phonenumbers.SUPPORTED_REGIONS
