"""The task API as it is usually written on FastAPI, SQLAlchemy 2 (async ORM), asyncpg and Pydantic.

`npm run bench` compares Taskwire with it: the same tables, the same answers, a write and its event in one transaction.
No limits, no pushes, no idempotency, no cache.
"""

import asyncio
import base64
import hashlib
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Annotated

import bcrypt
import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from models import (
    AuthSession,
    Bulk,
    BulkOut,
    BulkResult,
    Comment,
    Event,
    Login,
    LoginOut,
    Member,
    Page,
    Project,
    RefreshToken,
    Task,
    TaskDetail,
    TaskIn,
    TaskOut,
    TaskPatch,
    Transition,
    User,
)
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import joinedload

SECRET = os.environ["JWT_SECRET"]
AUDIENCE, ISSUER = "taskwire-api", "taskwire"
TOKEN_SECONDS = 900

engine = create_async_engine(
    os.environ["DATABASE_URL"], pool_size=int(os.environ["DATABASE_POOL"]), max_overflow=0
)
Session = async_sessionmaker(engine, expire_on_commit=False)


async def database() -> AsyncIterator[AsyncSession]:
    async with Session() as session:
        yield session


def caller(authorization: Annotated[str, Header()]) -> uuid.UUID:
    try:
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    return uuid.UUID(claims["sub"])


Database = Annotated[AsyncSession, Depends(database)]
Caller = Annotated[uuid.UUID, Depends(caller)]


async def role_in(db: AsyncSession, project_id: uuid.UUID, user: uuid.UUID) -> str:
    """The caller's role in a project that is not deleted."""
    role = await db.scalar(
        select(Member.role)
        .join(Project, Project.id == Member.project_id)
        .where(Member.project_id == project_id, Member.user_id == user, Project.deleted_at.is_(None))
    )
    if role is None:
        raise HTTPException(404)
    return role


async def writable(db: AsyncSession, project_id: uuid.UUID, user: uuid.UUID) -> None:
    if await role_in(db, project_id, user) == "viewer":
        raise HTTPException(403)


async def log(db: AsyncSession, kind: str, tasks: list[Task], user: uuid.UUID, changes: dict | None = None) -> None:
    """Adds an event for each task, numbered in the stream of the project."""
    stream = f"project:{tasks[0].project_id}"
    ids = [uuid.uuid4() for _ in tasks]
    head = await db.scalar(
        text("UPDATE events.streams SET head = head + :n, previous_id = last_id, last_id = :id WHERE name = :name RETURNING head"),
        {"n": len(tasks), "id": ids[-1], "name": stream},
    )
    for nth, (id, task) in enumerate(zip(ids, tasks)):
        data = {"task": TaskOut.model_validate(task).model_dump(mode="json")}
        if changes is not None:
            data["changes"] = changes
        db.add(
            Event(
                stream=stream, seq=head - len(tasks) + nth + 1, id=id, type=kind, time=task.updated_at,
                actor_id=user, request_id=str(uuid.uuid4()), data=data,
            )
        )


async def find(db: AsyncSession, id: uuid.UUID, user: uuid.UUID) -> Task:
    task = await db.scalar(select(Task).where(Task.id == id, Task.deleted_at.is_(None)))
    if task is None:
        raise HTTPException(404)
    await role_in(db, task.project_id, user)
    return task


async def end_with_parent() -> None:
    """The bench ends this process; one that was killed could not."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    os._exit(0)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    watch = asyncio.create_task(end_with_parent())
    yield
    watch.cancel()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/projects/{project_id}/tasks")
async def list_tasks(
    project_id: uuid.UUID,
    db: Database,
    user: Caller,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=10_000)] = 0,
    status: str | None = None,
    priority: str | None = None,
    q: str | None = None,
) -> Page:
    await role_in(db, project_id, user)
    matching = select(Task).where(Task.project_id == project_id, Task.deleted_at.is_(None))
    order = [Task.created_at.desc(), Task.id.desc()]
    if status is not None:
        matching = matching.where(Task.status.in_(status.split(",")))
    if priority is not None:
        matching = matching.where(Task.priority.in_(priority.split(",")))
    if q is not None:
        matching = matching.where(text("words @@ (SELECT tasks.search_query(:q))").bindparams(q=q))
        order = [text("ts_rank(words, (SELECT tasks.search_query(:q))) DESC").bindparams(q=q), Task.id.desc()]
    total = await db.scalar(select(func.count()).select_from(matching.subquery()))
    tasks = (await db.scalars(matching.order_by(*order).offset(offset).limit(limit + 1))).all()
    more = len(tasks) > limit
    last = tasks[limit - 1] if more else None
    cursor = last and base64.urlsafe_b64encode(f"{last.created_at.isoformat()} {last.id}".encode()).decode()
    items = [TaskOut.model_validate(task) for task in tasks[:limit]]
    return Page(items=items, limit=limit, offset=offset, total=total or 0, next_cursor=cursor)


@app.get("/tasks/{id}")
async def get_task(id: uuid.UUID, db: Database, user: Caller) -> TaskDetail:
    related = [joinedload(one) for one in (Task.project, Task.category, Task.creator, Task.assignee)]
    task = await db.scalar(select(Task).where(Task.id == id, Task.deleted_at.is_(None)).options(*related))
    if task is None:
        raise HTTPException(404)
    await role_in(db, task.project_id, user)
    detail = TaskDetail.model_validate(task)
    detail.comment_count = await db.scalar(select(func.count()).where(Comment.task_id == id)) or 0
    return detail


def new_task(fields: TaskIn, project_id: uuid.UUID, user: uuid.UUID, now: datetime) -> Task:
    id = uuid.uuid4()
    return Task(
        id=id, position=id.hex, title=fields.title, description=fields.description, status="pending",
        priority=fields.priority, due_date=fields.due_date, project_id=project_id, created_by=user,
        created_at=now, updated_at=now, version=1,
    )


@app.post("/projects/{project_id}/tasks", status_code=201)
async def create_task(project_id: uuid.UUID, fields: TaskIn, db: Database, user: Caller) -> TaskOut:
    await writable(db, project_id, user)
    task = new_task(fields, project_id, user, datetime.now(timezone.utc))
    db.add(task)
    await db.flush()
    await log(db, "task_created", [task], user)
    await db.commit()
    return TaskOut.model_validate(task)


@app.patch("/tasks/{id}")
async def patch_task(id: uuid.UUID, fields: TaskPatch, db: Database, user: Caller) -> TaskOut:
    task = await find(db, id, user)
    changes = {"title": {"old": task.title, "new": fields.title}}
    task.title = fields.title
    task.updated_at = datetime.now(timezone.utc)
    await db.flush()
    await log(db, "task_updated", [task], user, changes)
    await db.commit()
    return TaskOut.model_validate(task)


@app.post("/tasks/{id}/transitions")
async def move_task(id: uuid.UUID, move: Transition, db: Database, user: Caller) -> TaskOut:
    task = await find(db, id, user)
    changes = {"status": {"old": task.status, "new": move.to}}
    task.status = move.to
    task.updated_at = datetime.now(timezone.utc)
    task.completed_at = task.updated_at if move.to == "completed" else None
    await db.flush()
    await log(db, "task_updated", [task], user, changes)
    await db.commit()
    return TaskOut.model_validate(task)


@app.post("/tasks/bulk")
async def bulk(body: Bulk, db: Database, user: Caller) -> BulkOut:
    projects = {operation.project_id for operation in body.operations}
    for project_id in projects:
        await writable(db, project_id, user)
    now = datetime.now(timezone.utc)
    tasks = [new_task(operation, operation.project_id, user, now) for operation in body.operations]
    db.add_all(tasks)
    await db.flush()
    for project_id in sorted(projects):
        await log(db, "task_created", [task for task in tasks if task.project_id == project_id], user)
    await db.commit()
    return BulkOut(
        results=[BulkResult(op="create", status=201, task=TaskOut.model_validate(task)) for task in tasks]
    )


@app.post("/auth/login")
async def login(body: Login, db: Database) -> LoginOut:
    user = await db.scalar(select(User).where(User.username_key == body.login, User.is_active))
    digest = base64.b64encode(hashlib.sha256(body.password.encode()).digest())
    if user is None or not await asyncio.to_thread(bcrypt.checkpw, digest, user.password_hash.encode()):
        raise HTTPException(401)
    now = datetime.now(timezone.utc)
    session = AuthSession(id=uuid.uuid4(), user_id=user.id, created_at=now, last_used_at=now)
    db.add(session)
    await db.flush()
    secret = secrets.token_urlsafe(32)
    db.add(
        RefreshToken(
            hash=hashlib.sha256(secret.encode()).digest(), session_id=session.id, expires_at=now + timedelta(days=30)
        )
    )
    await db.commit()
    claims = {
        "sub": str(user.id), "sid": str(session.id), "role": user.role, "iat": now, "iss": ISSUER,
        "aud": AUDIENCE, "exp": now + timedelta(seconds=TOKEN_SECONDS), "jti": str(uuid.uuid4()),
    }
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    return LoginOut(access_token=token, token_type="Bearer", expires_in=TOKEN_SECONDS, refresh_token=secret)
