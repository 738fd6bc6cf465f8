"""How long a limit lasts."""

import pytest
from psycopg_pool import AsyncConnectionPool

from server.accounts.signin import SignIn, SignInLimits, TooManyTriesError, WrongCodeError
from server.config import ServerConfig
from server.store.pool import make_pool


async def test_everybody_together_is_limited_too(db: ServerConfig) -> None:
    async with make_pool(db.dsn("warden"), max_size=1) as pool:
        assert isinstance(pool, AsyncConnectionPool)
        signin = SignIn(pool, SignInLimits(overall="3 per minute"))
        for login in "abc":
            with pytest.raises(WrongCodeError):
                await signin.check(login, "0000")
        with pytest.raises(TooManyTriesError) as raised:
            await signin.check("d", "0000")
        assert 0 < raised.value.retry_after_s <= 60


async def test_who_hammers_one_login_does_not_use_up_the_tries_of_all(db: ServerConfig) -> None:
    async with make_pool(db.dsn("warden"), max_size=1) as pool:
        signin = SignIn(pool, SignInLimits(per_login="1 per minute", overall="3 per minute"))
        with pytest.raises(WrongCodeError):
            await signin.check("a", "0000")
        for _ in range(5):
            with pytest.raises(TooManyTriesError):
                await signin.check("a", "0000")
        with pytest.raises(WrongCodeError):
            await signin.check("b", "0000")


async def test_a_limit_is_forgotten_in_time(db: ServerConfig) -> None:
    async with make_pool(db.dsn("warden"), max_size=1) as pool:
        signin = SignIn(pool, SignInLimits(per_login="1 per second"))
        with pytest.raises(WrongCodeError):
            await signin.check("a", "0000")
        with pytest.raises(TooManyTriesError) as raised:
            await signin.check("a", "0000")
        assert raised.value.retry_after_s == 1
