module rrq.example/go

go 1.19
