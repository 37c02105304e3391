create table outbox (id text primary key, aggregatetype text not null, aggregateid text not null, type text not null, payload jsonb);
insert into outbox values
  ('e-1', 'order', 'o-1', 'OrderCreated', '{"total": 12, "lines": [{"sku": "rope"}]}'),
  ('e-2', 'order', 'o-1', 'OrderChanged', '{"total": 13}');
