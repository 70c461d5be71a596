# Frontline Notebooks. `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

DATE ?= 2025-01-08
SOURCE ?= reconstruction
COMPARE_TO ?=
ROOT ?= .

.DEFAULT_GOAL := help

