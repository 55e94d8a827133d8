"""Rows as SQLAlchemy maps them, and what comes in and goes out as Pydantic checks it."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import JSON, DateTime, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}


class User(Base):
    __tablename__ = "users"
    __table_args__ = {"schema": "users"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    username: Mapped[str]
    username_key: Mapped[str]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    role: Mapped[str]
    password_hash: Mapped[str]
    is_active: Mapped[bool]


class Project(Base):
    __tablename__ = "projects"
    __table_args__ = {"schema": "projects"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]
    deleted_at: Mapped[datetime | None]


class Member(Base):
    __tablename__ = "members"
    __table_args__ = {"schema": "projects"}
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.projects.id"), primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]


class Category(Base):
    __tablename__ = "categories"
    __table_args__ = {"schema": "tasks"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    color: Mapped[str]


class Comment(Base):
    __tablename__ = "comments"
    __table_args__ = {"schema": "tasks"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    task_id: Mapped[uuid.UUID]


class Task(Base):
    __tablename__ = "tasks"
    __table_args__ = {"schema": "tasks"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(String, default="pending")
    priority: Mapped[str] = mapped_column(String, default="medium")
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("projects.projects.id"))
    category_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tasks.categories.id"))
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.users.id"))
    assigned_to: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.users.id"))
    due_date: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    position: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    __mapper_args__ = {"version_id_col": version}

    project: Mapped[Project | None] = relationship()
    category: Mapped[Category | None] = relationship()
    creator: Mapped[User] = relationship(foreign_keys=[created_by])
    assignee: Mapped[User | None] = relationship(foreign_keys=[assigned_to])


class Event(Base):
    __tablename__ = "log"
    __table_args__ = {"schema": "events"}
    stream: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID]
    type: Mapped[str]
    time: Mapped[datetime]
    actor_id: Mapped[uuid.UUID | None]
    request_id: Mapped[str | None]
    data: Mapped[dict] = mapped_column(JSON)


class AuthSession(Base):
    __tablename__ = "sessions"
    __table_args__ = {"schema": "auth"}
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]


class RefreshToken(Base):
    __tablename__ = "refresh_tokens"
    __table_args__ = {"schema": "auth"}
    hash: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[uuid.UUID]
    expires_at: Mapped[datetime]


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class TaskOut(Out):
    id: uuid.UUID
    title: str
    description: str | None
    status: str
    priority: str
    project_id: uuid.UUID | None
    category_id: uuid.UUID | None
    created_by: uuid.UUID
    assigned_to: uuid.UUID | None
    due_date: datetime | None
    completed_at: datetime | None
    position: str
    version: int
    created_at: datetime
    updated_at: datetime


class ProjectOut(Out):
    id: uuid.UUID
    slug: str
    name: str


class PersonOut(Out):
    id: uuid.UUID
    username: str
    first_name: str | None
    last_name: str | None


class CategoryOut(Out):
    id: uuid.UUID
    name: str
    color: str


class TaskDetail(TaskOut):
    project: ProjectOut | None
    creator: PersonOut
    assignee: PersonOut | None
    category: CategoryOut | None
    comment_count: int = 0


class Page(BaseModel):
    items: list[TaskOut]
    limit: int
    offset: int
    total: int
    next_cursor: str | None


Title = Annotated[str, Field(min_length=1, max_length=200)]
Priority = Literal["low", "medium", "high", "urgent"]
Status = Literal["pending", "in_progress", "completed", "cancelled", "archived"]


class TaskIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Title
    description: str | None = Field(default=None, max_length=10_000)
    priority: Priority = "medium"
    due_date: datetime | None = None


class TaskPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Title


class Transition(BaseModel):
    to: Status


class BulkOperation(TaskIn):
    op: Literal["create"]
    project_id: uuid.UUID


class Bulk(BaseModel):
    operations: list[BulkOperation] = Field(min_length=1, max_length=100)


class BulkResult(BaseModel):
    op: str
    status: int
    task: TaskOut


class BulkOut(BaseModel):
    results: list[BulkResult]


class Login(BaseModel):
    login: str
    password: str


class LoginOut(BaseModel):
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
