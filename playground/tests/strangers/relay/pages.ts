// The operations of a Relay application: pages of connections, refetched by node, and a subscription. They are compiled
// only.
import { graphql } from 'relay-runtime';

graphql`
  query pagesUserQuery($id: ID!, $count: Int!, $cursor: String) {
    user(id: $id) {
      ...pagesOrders_user @arguments(count: $count, cursor: $cursor)
    }
  }
`;

graphql`
  fragment pagesOrders_user on User
  @refetchable(queryName: "pagesOrdersPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
    name
    orders(first: $count, after: $cursor, filter: { status: "PLACED" })
      @connection(key: "pagesOrders_user_orders", filters: ["filter"]) {
      edges {
        node {
          orderId
          amount
          placedAt
          payment {
            status
          }
        }
      }
    }
  }
`;

graphql`
  query pagesUsersQuery($count: Int!, $cursor: String) {
    ...pagesUsers_query @arguments(count: $count, cursor: $cursor)
  }
`;

graphql`
  fragment pagesUsers_query on Query
  @refetchable(queryName: "pagesUsersPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
    users(last: $count, before: $cursor, orderBy: OLDEST_FIRST) @connection(key: "pagesUsers_query_users") {
      edges {
        node {
          name
        }
      }
    }
  }
`;

graphql`
  subscription pagesStockSubscription($sku: ID!) {
    inventoryChanged(sku: $sku) {
      sku
      quantity
    }
  }
`;
