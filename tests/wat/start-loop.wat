;; A start function without an end: it must not run when the module is loaded.
(module
  (memory (export "memory") 1)
  (func $begin (loop $l (br $l)))
  (start $begin)
  (func (export "_start")))
