"""Tokens of an OpenID Connect provider. Only `config` and `module` can be imported without `leveret[jwt]`."""
